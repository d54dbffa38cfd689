"""How errors reach a client: RFC 9457 problem details, never an inside detail.

``install`` teaches an app the tree of ``errors`` and what other libraries raise: an exhausted pool or an unreachable
database is 503, a broken unique constraint is 409, everything unforeseen is a bare 500 (``logs`` writes its traceback
under the request's id).
"""

from __future__ import annotations

from http import HTTPStatus
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

UNIQUE_VIOLATION: Final = "23505"

log = structlog.stdlib.get_logger(__name__)


def problem(
    status: int, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    """One RFC 9457 answer; its type is about:blank, so its title is the status' own phrase."""
    body: dict[str, Any] = {"title": HTTPStatus(status).phrase, "status": status}
    if detail:
        body["detail"] = detail
    return JSONResponse(body | more, status_code=status, headers=dict(headers or {}), media_type=openapi.MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Teach an app the tree above, and its OpenAPI to tell of it."""
    openapi.install(app)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(PoolTimeoutError, _busy)
    app.add_exception_handler(OperationalError, _busy)
    app.add_exception_handler(InterfaceError, _busy)
    app.add_exception_handler(psycopg.OperationalError, _busy)  # from under a session: engine.driver_connection
    app.add_exception_handler(IntegrityError, _integrity)
    app.add_exception_handler(Exception, _unforeseen)


async def _http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette types every handler's error as Exception
    return _answer(error)


def _answer(error: HTTPException) -> JSONResponse:
    detail = None if error.detail == HTTPStatus(error.status_code).phrase else error.detail
    return problem(error.status_code, detail, headers=error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    """Name the place and kind of each mistake, never the input: it may be a secret, and it ends in someone's log."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    places = [
        {"place": ".".join(str(part) for part in one["loc"]), "kind": one["type"], "message": one["msg"]}
        for one in error.errors()
    ]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(f"{p['place']}: {p['message']}" for p in places), errors=places
    )


async def _busy(_: Request, error: Exception) -> Response:
    """No connection within pool_timeout, or none at all: the client's request was not at fault."""
    await log.awarning("database unavailable", kind=type(error).__name__, code=getattr(error, "code", None))
    return _answer(BusyError("The database cannot take this request now; try again shortly."))


async def _integrity(request: Request, error: Exception) -> Response:
    if getattr(getattr(error, "orig", None), "sqlstate", None) == UNIQUE_VIOLATION:
        return _answer(ConflictError())
    await log.aerror("constraint violated", exc_info=error)
    return await _unforeseen(request, error)


async def _unforeseen(_: Request, error: Exception) -> Response:  # noqa: ARG001 - nothing of it may reach the client
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR)
