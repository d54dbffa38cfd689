from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from httpx2 import ASGITransport, AsyncClient, Response
from plimsoll_runtime.headers import guard
from plimsoll_runtime.settings import DatabaseUrl, Settings
from pydantic import ValidationError

pytestmark = pytest.mark.anyio

FRIEND = "https://app.example"


def ship(*origins: str) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "ahoy"

    @app.get("/cached")
    async def cached() -> PlainTextResponse:
        return PlainTextResponse("ahoy", headers={"cache-control": "max-age=60", "x-frame-options": "SAMEORIGIN"})

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError

    guard(app, origins=lambda: origins)
    return app


async def request(app: FastAPI, method: str, path: str, *, scheme: str = "http", **headers: str) -> Response:
    transport = ASGITransport(app=app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url=f"{scheme}://ship") as client:
        return await client.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/nowhere", 404), ("/bug", 500)])
async def test_browsers_are_made_careful_by_every_answer(path: str, status: int) -> None:
    answer = await request(ship(), "GET", path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "strict-transport-security" not in answer.headers
    assert "cache-control" not in answer.headers


async def test_hsts_only_over_https() -> None:
    answer = await request(ship(), "GET", "/", scheme="https")
    assert answer.headers["strict-transport-security"].startswith("max-age=")


async def test_what_was_asked_for_with_a_token_is_kept_by_no_cache() -> None:
    assert (await request(ship(), "GET", "/", authorization="Bearer t")).headers["cache-control"] == "no-store"


async def test_what_the_app_says_itself_stays() -> None:
    answer = await request(ship(), "GET", "/cached", authorization="Bearer t")
    assert answer.headers.get_list("cache-control") == ["max-age=60"]
    assert answer.headers.get_list("x-frame-options") == ["SAMEORIGIN"]


async def test_no_origin_is_let_in_unless_it_is_listed() -> None:
    preflight = {"access_control_request_method": "POST", "access_control_request_headers": "authorization"}
    off = await request(ship(), "OPTIONS", "/", origin=FRIEND, **preflight)
    assert "access-control-allow-origin" not in off.headers
    listed = await request(ship(FRIEND), "OPTIONS", "/", origin=FRIEND, **preflight)
    assert (listed.status_code, listed.headers["access-control-allow-origin"]) == (200, FRIEND)
    assert "access-control-allow-credentials" not in listed.headers
    stranger = await request(ship(FRIEND), "OPTIONS", "/", origin="https://evil.example", **preflight)
    assert "access-control-allow-origin" not in stranger.headers


@pytest.mark.parametrize("path", ["/", "/bug"])
async def test_a_listed_page_may_read_errors_too(path: str) -> None:
    answer = await request(ship(FRIEND), "GET", path, origin=FRIEND)
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


def settings(listed: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PLIMSOLL_CORS_ORIGINS", listed)
    return Settings(database_url=DatabaseUrl("postgresql://a@h/d"))


def test_origins_are_listed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = settings(f"{FRIEND}, http://localhost:3000", monkeypatch)
    assert listed.plimsoll_cors_origins == (FRIEND, "http://localhost:3000")
    assert settings("", monkeypatch).plimsoll_cors_origins == ()


@pytest.mark.parametrize("wrong", ["*", "https://*.example", f"{FRIEND}/", f"{FRIEND},null", "app.example"])
def test_a_star_is_no_name(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    with pytest.raises(ValidationError):
        settings(wrong, monkeypatch)
