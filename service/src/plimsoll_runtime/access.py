"""Around each request: its ids, its log line, its place in the metrics, and an answer to what nobody caught.

Wraps the whole app from outside (``contract.wrap``), so that the headers are on every response, a bare 500 included.
uvicorn's own access log is off: it is written outside the request's context.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final

import structlog
from opentelemetry import context

from plimsoll_runtime import logs, metrics, telemetry
from plimsoll_runtime.correlation import CURRENT, REQUEST_ID, ids_of, route_of, tie
from plimsoll_runtime.failures import kind
from plimsoll_runtime.problems import ERROR_TYPE, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

RESPONSE_TIME: Final = b"x-response-time-ms"

METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
"""Any other is told as _OTHER, as OpenTelemetry does: a client may make up as many as it likes."""

log = structlog.stdlib.get_logger(__name__)


class RequestLogMiddleware:
    """Pure ASGI: as above. The time to an answer's first byte is a header, to its last byte in line and metrics."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        ids = ids_of(scope["headers"])
        told = ids
        status = 0
        complete = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, complete, told
            if message["type"] == "http.response.start":
                status = message["status"]
                told = tie(ids)
                taken = f"{(perf_counter() - began) * 1000:.1f}".encode()
                about = ((REQUEST_ID, ids.request_id.encode()), (RESPONSE_TIME, taken))
                message["headers"] = [*message.get("headers", ()), *about]
            elif message["type"] == "http.response.body":
                complete = not message.get("more_body", False)
            await send(message)

        token = CURRENT.set(ids)
        dropped = telemetry.drop_early(scope, ids)
        error_type: str | None = None
        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError as error:
            error_type = kind(error)
            raise
        except Exception as error:
            error_type = kind(error)
            log.exception("request failed")
            if not status:
                await problem(HTTPStatus.INTERNAL_SERVER_ERROR)(scope, receive, send_with_id)
            elif not complete:
                raise  # the server must cut the connection: a truncated body may not look like a whole one
        finally:
            seconds = perf_counter() - began
            method = scope["method"] if scope["method"] in METHODS else "_OTHER"
            route = route_of(scope)
            status = int(status) or 500  # what uvicorn answers when an app does not
            error_type = error_type or scope.get(ERROR_TYPE)
            metrics.count_request(method=method, route=route, status=status, seconds=seconds)
            logs.request(told, method=method, route=route, status=status, seconds=seconds, error_type=error_type)
            CURRENT.reset(token)
            if dropped is not None:
                context.detach(dropped)
