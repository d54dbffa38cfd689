"""Nobody's data gets into a log: not of a success, not of a refusal, not of a bug."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import TYPE_CHECKING, Annotated

import psycopg.errors
import pytest
import structlog
from fastapi import BackgroundTasks, Body, FastAPI, Header, HTTPException
from httpx2 import ASGITransport, AsyncClient
from plimsoll_runtime import problems
from plimsoll_runtime.access import RequestLogMiddleware
from plimsoll_runtime.limits import RequestDeadlineMiddleware
from pydantic import BaseModel, EmailStr, Field, TypeAdapter
from sqlalchemy.exc import IntegrityError

if TYPE_CHECKING:
    import io

pytestmark = pytest.mark.anyio

NAME, MAIL, TOKEN, BODY = "Canary-Name", "canary@mail.example", "canary-token", "canary-body"
CANARIES = (NAME, MAIL, TOKEN, BODY, "canary", "Canary")


class Person(BaseModel):
    name: Annotated[str, Field(max_length=20)]
    email: EmailStr


class Refused(psycopg.errors.ForeignKeyViolation):
    """As PostgreSQL words it."""


async def fail(how: str, person: Person, token: str) -> None:
    match how:
        case "message":
            raise ValueError(f"{person.email} may not, with {token}")
        case "chain":
            try:
                int(person.name)
            except ValueError as error:
                raise RuntimeError(person.email) from error
        case "group":
            raise ExceptionGroup(token, [ValueError(person.email), LookupError(person.name)])
        case "upstream":
            TypeAdapter(int).validate_python(person.email)
        case "row":
            detail = f"Key (email)=({person.email}) is not present"
            raise IntegrityError("INSERT …", {"email": person.email}, Refused(detail))
        case "refused":
            raise HTTPException(403, detail=f"{person.email} may not")
        case _:
            assert how == ""


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.post("/people/{name}")
    async def create(
        name: str,
        person: Person,
        authorization: Annotated[str, Header()],
        background: BackgroundTasks,
        how: Annotated[str, Body()] = "",
    ) -> Person:
        if how == "background":
            background.add_task(fail, "message", person, authorization)
        else:
            await fail(how, person, authorization)
        return person

    return app


async def post(app: FastAPI, how: str, *, path: str = f"/people/{NAME}", mail: str = MAIL) -> int:
    transport = ASGITransport(app=RequestLogMiddleware(app))
    async with AsyncClient(transport=transport, base_url="http://sea") as client:
        answer = await client.post(
            path,
            params={"q": MAIL},
            json={"person": {"name": NAME, "email": mail}, "how": how, "extra": BODY},
            headers={"authorization": f"Bearer {TOKEN}", "user-agent": BODY, "cookie": f"session={TOKEN}"},
        )
        return answer.status_code


CASES = {
    "": 200,
    "refused": 403,
    "message": 500,
    "chain": 500,
    "group": 500,
    "upstream": 500,
    "row": 500,
    "background": 200,
}


@pytest.mark.parametrize(("how", "status"), CASES.items())
async def test_of_a_request_nothing_that_it_brought_is_logged(
    app: FastAPI, written: io.StringIO, how: str, status: int
) -> None:
    assert await post(app, how) == status
    assert written.getvalue().count('"message": "request"') == 1
    assert [canary for canary in CANARIES if canary in written.getvalue()] == []
    if status == 500:
        assert "in fail" in written.getvalue(), "the place is told"


async def test_nor_of_one_that_is_not_even_understood(app: FastAPI, written: io.StringIO) -> None:
    assert await post(app, "", mail=BODY) == 422
    assert await post(app, "", path=f"/nowhere/{MAIL}") == 404
    assert '"error_type": "fastapi.exceptions.RequestValidationError"' in written.getvalue()
    assert [canary for canary in CANARIES if canary in written.getvalue()] == []


async def test_pythons_own_way_would_have_told(app: FastAPI, written: io.StringIO) -> None:
    """The negative control: the same failures, by the standard library's formatter."""
    logging.root.handlers[0].setFormatter(logging.Formatter())
    structlog.configure(processors=[structlog.stdlib.render_to_log_kwargs])
    for how in ("message", "chain", "upstream"):
        written.truncate(0)
        assert await post(app, how) == 500
        assert MAIL in written.getvalue(), how


async def test_nor_of_one_that_takes_too_long(written: io.StringIO) -> None:
    app = FastAPI()
    app.add_middleware(RequestDeadlineMiddleware, seconds=0.01)

    @app.get("/people/{name}")
    async def never(name: str) -> None:
        await asyncio.Event().wait()

    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://sea") as client:
        assert (await client.get(f"/people/{NAME}")).status_code == 503
    assert '"route": "/people/{name}"' in written.getvalue()
    assert NAME not in written.getvalue()


@pytest.mark.parametrize(
    ("logger", "line", "arguments", "told"),
    [
        ("uvicorn.error", '%s - "WebSocket %s" [accepted]', ("10.1.2.3:4", f"/talk?token={TOKEN}"), "[accepted]"),
        ("uvicorn.error", '%s - "WebSocket %s" %d', ("10.1.2.3:4", f"/talk?token={TOKEN}", 403), "403"),
        ("python_multipart.multipart", f"Expected boundary character 45, got {BODY}", (), None),
    ],
)
def test_nor_what_libraries_tell_of_it(
    written: io.StringIO, logger: str, line: str, arguments: tuple[object, ...], told: str | None
) -> None:
    logging.getLogger(logger).warning(line, *arguments)
    assert (told is None) == (written.getvalue() == "")
    assert told is None or f'"message": "WebSocket {told}"' in written.getvalue()
    assert not [said for said in (*CANARIES, "10.1.2.3", "/talk") if said in written.getvalue()]


def test_a_warning_of_pythons_is_a_line_like_all_others(written: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("corrupt EXIF data", stacklevel=1)
    assert '"logger": "py.warnings"' in written.getvalue()


def test_kind_place_and_cause_are_told(written: io.StringIO) -> None:
    def refuse() -> None:
        raise psycopg.errors.UniqueViolation(MAIL)

    try:
        try:
            refuse()
        except psycopg.Error as error:
            raise RuntimeError(NAME) from error
    except RuntimeError:
        logging.getLogger("uvicorn.error").exception("broken")
    said = written.getvalue()
    assert "psycopg.errors.UniqueViolation (23505)" in said
    assert "which was the cause of" in said
    assert "in refuse" in said
    assert MAIL not in said
