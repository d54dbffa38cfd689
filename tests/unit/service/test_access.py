"""Each request has ids, a line and a time, whatever becomes of it."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from httpx2 import ASGITransport, AsyncClient, Response
from plimsoll_runtime import logs, problems
from plimsoll_runtime.access import RequestLogMiddleware
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

if TYPE_CHECKING:
    import io

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    problems.install(app)
    router = APIRouter(prefix="/ships")

    @router.get("/{name}")
    async def ship(name: str) -> str:
        logging.getLogger("some.library").warning("about %s", "a ship")
        return name

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418)

    @app.get("/busy")
    async def busy() -> None:
        raise PoolTimeoutError

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    app.include_router(router)
    return app


async def get(app: FastAPI, path: str, *, method: str = "GET", **headers: str) -> Response:
    transport = ASGITransport(app=RequestLogMiddleware(app))
    async with AsyncClient(transport=transport, base_url="http://sea") as client:
        return await client.request(method, path, headers={name.replace("_", "-"): v for name, v in headers.items()})


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def request_line(written: io.StringIO) -> dict[str, Any]:
    [line] = [line for line in lines(written) if line["message"] == "request"]
    return line


async def test_a_request_has_one_line_that_says_what_became_of_it(app: FastAPI, written: io.StringIO) -> None:
    answer = await get(app, "/ships/argo?crew=50", x_request_id="it-is-me", traceparent=PARENT)
    line = request_line(written)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert 0 <= float(answer.headers["x-response-time-ms"]) <= line.pop("duration_ms") + 0.1
    assert line == {
        "level": "info",
        "message": "request",
        "request_id": "it-is-me",
        "trace_id": TRACE,
        "method": "GET",
        "route": "/ships/{name}",
        "status": 200,
        "error_type": None,
        "logger": "plimsoll_runtime.access",
    }
    assert answer.headers["x-request-id"] == "it-is-me"


async def test_a_librarys_line_has_the_same_form_and_ids(app: FastAPI, written: io.StringIO) -> None:
    await get(app, "/ships/argo", x_request_id="it-is-me", traceparent=PARENT)
    [line] = [line for line in lines(written) if line["logger"] == "some.library"]
    assert line["message"] == "about a ship"
    assert set(line) == {"level", "message", "logger", "timestamp", "request_id", "trace_id"}
    assert (line["level"], line["request_id"], line["trace_id"]) == ("warning", "it-is-me", TRACE)


async def test_the_line_that_is_put_together_by_hand_says_what_the_chain_would_say(
    app: FastAPI, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    await get(app, "/ships/argo", x_request_id="it-is-me", traceparent=PARENT)
    by_hand = request_line(written)
    written.truncate(0)
    written.seek(0)
    monkeypatch.setattr(logs, "_Stdout", logging.NullHandler)  # ours is not in place, then
    await get(app, "/ships/argo", x_request_id="it-is-me", traceparent=PARENT)
    by_the_chain = request_line(written)
    assert {name: type(value) for name, value in by_hand.items()} == {n: type(v) for n, v in by_the_chain.items()}
    different = {name for name, value in by_hand.items() if value != by_the_chain[name]}
    assert different <= {"timestamp", "duration_ms"}


@pytest.mark.parametrize(
    ("path", "status", "route", "error_type", "level"),
    [
        ("/nobody@example.com", 404, "unmatched", "starlette.exceptions.HTTPException", "info"),
        ("/teapot", 418, "/teapot", "fastapi.exceptions.HTTPException", "info"),
        ("/busy", 503, "/busy", "sqlalchemy.exc.TimeoutError", "error"),
        ("/broken", 500, "/broken", "ZeroDivisionError", "error"),
    ],
)
async def test_an_error_is_told_by_its_kind(
    app: FastAPI, written: io.StringIO, path: str, status: int, route: str, error_type: str, level: str
) -> None:
    answer = await get(app, path)
    line = request_line(written)
    assert answer.status_code == status
    told = line["status"], line["route"], line["error_type"], line["level"]
    assert told == (status, route, error_type, level)
    assert line["request_id"] == answer.headers["x-request-id"], "an error's answer has it too"
    assert "x-response-time-ms" in answer.headers


@pytest.mark.parametrize("forged", ["", "two words", "line\tbreak", "x" * 129, 'quote"', "<script>", "bob@example.com"])
async def test_an_id_that_could_forge_a_line_is_not_inherited(app: FastAPI, written: io.StringIO, forged: str) -> None:
    answer = await get(app, "/ships/argo", x_request_id=forged)
    issued = answer.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", issued)
    assert request_line(written)["request_id"] == issued


async def test_without_ids_of_the_clients_request_and_trace_have_the_same(app: FastAPI, written: io.StringIO) -> None:
    one, two = [(await get(app, "/ships/argo")).headers["x-request-id"] for _ in range(2)]
    assert one != two
    requests = [line for line in lines(written) if line["message"] == "request"]
    assert [(line["request_id"], line["trace_id"]) for line in requests] == [(one, one), (two, two)]


@pytest.mark.parametrize(
    "parent",
    [
        "nonsense",
        PARENT[:-1],
        f"ff{PARENT[2:]}",
        PARENT.upper(),
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
    ],
)
async def test_a_traceparent_that_is_none_is_not_inherited(app: FastAPI, written: io.StringIO, parent: str) -> None:
    await get(app, "/ships/argo", traceparent=parent)
    assert request_line(written)["trace_id"] != TRACE


async def test_a_made_up_method_is_not_repeated(app: FastAPI, written: io.StringIO) -> None:
    await get(app, "/ships/argo", method="SECRET")
    assert request_line(written)["method"] == "_OTHER"
    assert "SECRET" not in written.getvalue()
