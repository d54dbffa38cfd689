"""One log line per request, and the id that ties every other line to it.

Wraps the whole app from outside (``contract.wrap``), so that the id is on every response, a bare 500 included.
uvicorn's own access log is off: it is written outside the request's context.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog

from plimsoll_runtime.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = b"x-request-id"
SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
"""An id that cannot forge a log line or a header."""

log = structlog.stdlib.get_logger(__name__)


class RequestLogMiddleware:
    """Pure ASGI: binds the request's id, writes its line, and turns what nobody caught into a bare 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = 0
        complete = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, request_id.encode())]}
            elif message["type"] == "http.response.body":
                complete = not message.get("more_body", False)
            await send(message)

        began = time.perf_counter()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            status = status or HTTPStatus.INTERNAL_SERVER_ERROR  # what uvicorn answers when an app cancels itself
            raise
        except Exception:
            log.exception("request failed")
            if not status:
                await problem(HTTPStatus.INTERNAL_SERVER_ERROR)(scope, receive, send_with_id)
            elif not complete:
                raise  # the server must cut the connection: a truncated body may not look like a whole one
        finally:
            log.info(
                "request",
                method=scope["method"],
                route=getattr(scope.get("route"), "path", None) or scope["path"],
                status=int(status),
                duration_ms=round((time.perf_counter() - began) * 1000, 1),
            )
            structlog.contextvars.unbind_contextvars("request_id")


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == HEADER and SANE_ID.fullmatch(value):
            return str(value, "ascii")
    return uuid.uuid4().hex
