from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated

import psycopg.errors
import pytest
from fastapi import Body, FastAPI
from httpx2 import ASGITransport, AsyncClient, Response
from plimsoll_runtime import problems
from plimsoll_runtime.access import RequestLogMiddleware
from plimsoll_runtime.errors import (
    BadTokenError,
    BusyError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
)
from plimsoll_runtime.limits import BodyLimitMiddleware
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

if TYPE_CHECKING:
    import io

pytestmark = pytest.mark.anyio


class NoSuchShipError(NotFoundError):
    """No such ship."""


class TakenError(ConflictError):
    """The berth is taken."""


def broken(kind: type[psycopg.Error], constraint: str | None) -> psycopg.Error:
    """What psycopg raises; only a server can fill in its diagnosis."""

    class Diagnosed(kind):  # type: ignore[misc, valid-type] # a class like any other
        diag = SimpleNamespace(constraint_name=constraint)

    return Diagnosed("Key (id)=(secret)")


class ForeignKeyError(Exception):
    sqlstate = "23503"


ERRORS: dict[str, Exception] = {
    "domain": NoSuchShipError(),
    "busy": BusyError("later"),
    "pool": PoolTimeoutError("QueuePool limit of size 5 overflow 0 reached", code="3o7r"),
    "down": OperationalError("SELECT secret", {}, Exception("connection refused")),
    "cut": psycopg.OperationalError("server closed the connection"),
    "unique": IntegrityError("INSERT secret", {}, psycopg.errors.UniqueViolation("Key (id)=(secret)")),
    "named": IntegrityError("INSERT secret", {}, broken(psycopg.errors.UniqueViolation, "uq_berth")),
    "other": IntegrityError("INSERT secret", {}, broken(psycopg.errors.UniqueViolation, "uq_other")),
    "overlap": IntegrityError("INSERT secret", {}, broken(psycopg.errors.ExclusionViolation, None)),
    "under": broken(psycopg.errors.UniqueViolation, "uq_berth"),
    "race": OperationalError("UPDATE secret", {}, psycopg.errors.SerializationFailure("secret")),
    "deadlock": OperationalError("UPDATE secret", {}, psycopg.errors.DeadlockDetected("secret")),
    "token": BadTokenError(),
    "anonymous": UnauthorizedError(),
    "scope": ForbiddenError(),
    "foreign": IntegrityError("INSERT secret", {}, ForeignKeyError("secret")),
    "bug": RuntimeError("secret"),
}


def ship() -> FastAPI:
    app = FastAPI()
    problems.install(app, conflicts={"uq_berth": TakenError})
    app.add_middleware(BodyLimitMiddleware, max_bytes=100)

    @app.get("/raise/{which}")
    async def fail(which: str) -> None:
        raise ERRORS[which]

    @app.post("/number")
    async def number(n: Annotated[int, Body(embed=True)]) -> int:
        return n

    return app


async def request(method: str, path: str, **more: object) -> Response:
    transport = ASGITransport(app=RequestLogMiddleware(ship()))
    async with AsyncClient(transport=transport, base_url="http://ship") as client:
        return await client.request(method, path, **more)  # type: ignore[arg-type] # passed on as given


@pytest.mark.parametrize(
    ("which", "status", "detail", "retry_after"),
    [
        ("domain", 404, "No such ship.", None),
        ("busy", 503, "later", "1"),
        ("pool", 503, "The database cannot take this request now; try again shortly.", "1"),
        ("down", 503, "The database cannot take this request now; try again shortly.", "1"),
        ("cut", 503, "The database cannot take this request now; try again shortly.", "1"),
        ("unique", 409, "This contradicts what is already stored.", None),
        ("named", 409, "The berth is taken.", None),
        ("other", 409, "This contradicts what is already stored.", None),
        ("overlap", 409, "This contradicts what is already stored.", None),
        ("under", 409, "The berth is taken.", None),
        ("race", 503, "The database cannot take this request now; try again shortly.", "1"),
        ("deadlock", 503, "The database cannot take this request now; try again shortly.", "1"),
        ("token", 401, "The bearer token is not valid here.", None),
        ("anonymous", 401, "This needs a bearer token.", None),
        ("scope", 403, "The bearer token does not allow this.", None),
        ("foreign", 500, None, None),
        ("bug", 500, None, None),
    ],
)
async def test_each_error_has_its_answer_and_tells_no_more(
    which: str, status: int, detail: str | None, retry_after: str | None
) -> None:
    answer = await request("GET", f"/raise/{which}", headers={"x-request-id": "r-1"})
    assert (answer.status_code, answer.json().get("detail")) == (status, detail)
    assert answer.headers.get("retry-after") == retry_after
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "r-1"
    assert "secret" not in answer.text


async def test_a_500_is_generic_and_its_log_line_has_the_requests_id(written: io.StringIO) -> None:
    answer = await request("GET", "/raise/bug", headers={"x-request-id": "r-7"})
    assert answer.json() == {"title": "Internal Server Error", "status": 500}
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    (failed,) = [line for line in lines if line["message"] == "request failed"]
    assert (failed["level"], failed["request_id"]) == ("error", "r-7")
    assert "RuntimeError" in failed["exception"]


async def test_a_validation_error_names_the_place_and_not_the_input() -> None:
    answer = await request("POST", "/number", json={"n": "secret"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["place"] == "body.n"
    assert "secret" not in answer.text


async def test_an_unknown_path_and_a_wrong_method_are_problems_too() -> None:
    assert (await request("GET", "/nowhere")).json() == {"title": "Not Found", "status": 404}
    answer = await request("GET", "/number")
    assert (answer.json()["status"], answer.headers["allow"]) == (405, "POST")


async def test_a_declared_excess_is_refused_before_it_is_read() -> None:
    answer = await request("POST", "/number", content=b'{"n": 1' + b" " * 200 + b"}")
    assert (answer.status_code, answer.json()["detail"]) == (413, "The body is larger than 100 bytes.")


async def test_an_undeclared_excess_is_counted() -> None:
    read = []

    async def chunks() -> object:
        for _ in range(50):
            read.append(1)
            yield b" " * 30

    answer = await request("POST", "/number", content=chunks(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("sane", ["abc-123", "0af7651916cd43dd8448eb211c80319c"])
async def test_a_sane_request_id_is_kept(sane: str) -> None:
    assert (await request("GET", "/nowhere", headers={"x-request-id": sane})).headers["x-request-id"] == sane


@pytest.mark.parametrize("odd", ["", "a b", "x" * 129, '"}{'])
async def test_any_other_is_replaced(odd: str) -> None:
    got = (await request("GET", "/nowhere", headers={"x-request-id": odd})).headers["x-request-id"]
    assert got != odd
    assert len(got) == 32
