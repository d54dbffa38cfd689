"""How errors reach a client: RFC 9457 problem details, never an inside detail.

``install`` teaches an app the tree of ``errors`` and what other libraries raise: an exhausted pool, an unreachable
database or a lost race (deadlock, serialization) is 503, a broken unique constraint is 409, everything unforeseen is a
bare 500 (``logs`` writes its traceback under the request's id). OpenAPI is told of them by ``openapi``.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import psycopg
import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from plimsoll_runtime import openapi
from plimsoll_runtime.errors import BusyError, ConflictError
from plimsoll_runtime.failures import kind, place_and_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import FastAPI
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

UNIQUE_VIOLATION, EXCLUSION_VIOLATION = "23505", "23P01"

TOLD: Final = 20
"""How many mistakes of a request are told: a client makes as many as it likes, and each is a line of answer and log."""

LONGEST_PART: Final = 50

ERROR_TYPE: Final = "plimsoll.error_type"
"""Where the scope tells ``access`` which error was answered."""

log = structlog.stdlib.get_logger(__name__)


def problem(
    status: int, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    """One RFC 9457 answer; its type is about:blank, so its title is the status' own phrase."""
    body: dict[str, Any] = {"title": HTTPStatus(status).phrase, "status": status}
    if detail:
        body["detail"] = detail
    return JSONResponse(body | more, status_code=status, headers=dict(headers or {}), media_type=openapi.MEDIA_TYPE)


def install(app: FastAPI, *, conflicts: Mapping[str, type[ConflictError]] = MappingProxyType({})) -> None:
    """Teach an app the tree above, and its OpenAPI to tell of it.

    Args:
        app: the app.
        conflicts: what a broken constraint means, by its name in the database; unique ones need no entry to be 409.
    """
    openapi.install(app)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(PoolTimeoutError, _busy)
    app.add_exception_handler(OperationalError, _busy)
    app.add_exception_handler(InterfaceError, _busy)
    app.add_exception_handler(psycopg.OperationalError, _busy)  # from under a session: engine.driver_connection
    for integrity in (IntegrityError, psycopg.IntegrityError):
        app.add_exception_handler(integrity, partial(_integrity, conflicts=conflicts))
    app.add_exception_handler(Exception, _unforeseen)
    app.exception_handlers.update({error: _noted(handler) for error, handler in app.exception_handlers.items()})


def _noted(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The same handler; the request's log line will name the error that it answered."""

    async def note_and_answer(request: HTTPConnection, error: Exception) -> Response | None:
        request.scope[ERROR_TYPE] = kind(error)
        answer: Response | None = await handler(request, error)
        return answer

    return note_and_answer


async def _http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette types every handler's error as Exception
    return _answer(error)


def _answer(error: HTTPException) -> JSONResponse:
    detail = None if error.detail == HTTPStatus(error.status_code).phrase else error.detail
    return problem(error.status_code, detail, headers=error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    """Name the place and kind of each mistake, never the input: it may be a secret, and it ends in someone's log."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    found = error.errors()
    mistakes = [(one["loc"], one["type"], _message(one["type"], one["msg"])) for one in found[:TOLD]]
    # An unknown field's name is input too: the client is told, the log is not.
    told = [
        {"place": _place(loc[: -1 if kind == "extra_forbidden" else None]), "kind": kind} for loc, kind, _ in mistakes
    ]
    await log.ainfo("request refused", errors=told, in_all=len(found))
    places = [{"place": _place(loc), "kind": kind, "message": message} for loc, kind, message in mistakes]
    sentences = [f"{one['place']}: {one['message']}" for one in places]
    if len(found) > TOLD:
        sentences.append(f"and {len(found) - TOLD} more")
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(sentences), errors=places)


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(_cut(str(part)) for part in parts)


def _cut(part: str) -> str:
    """An unknown field's name is as long as its sender likes."""
    return part if len(part) <= LONGEST_PART else part[:LONGEST_PART] + "…"


def _message(kind: str, message: str) -> str:
    """pydantic's sentence up to its colon: what follows may quote the input. Where JSON breaks off it does not."""
    return message if kind == "json_invalid" else message.partition(":")[0]


async def _busy(_: Request, error: Exception) -> Response:
    """No connection within pool_timeout, or none at all: the client's request was not at fault."""
    await log.awarning("database unavailable", kind=type(error).__name__, code=getattr(error, "code", None))
    return _answer(BusyError("The database cannot take this request now; try again shortly."))


async def _integrity(request: Request, error: Exception, *, conflicts: Mapping[str, type[ConflictError]]) -> Response:
    cause = getattr(error, "orig", error)  # psycopg's own, also under a session: engine.driver_connection
    constraint = cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
    if constraint is not None and constraint in conflicts:
        return _answer(conflicts[constraint]())
    if getattr(cause, "sqlstate", None) in {UNIQUE_VIOLATION, EXCLUSION_VIOLATION}:
        return _answer(ConflictError())
    await log.aerror("constraint violated", constraint=constraint, exception=place_and_kind(error))
    return await _unforeseen(request, error)


async def _unforeseen(_: Request, error: Exception) -> Response:  # noqa: ARG001 - nothing of it may reach the client
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR)
