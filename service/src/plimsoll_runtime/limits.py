"""Bounds on one request: the bytes of its body, its encoding, and its time. An app adds them as middlewares.

    app.add_middleware(RequestDeadlineMiddleware, seconds=...)
    app.add_middleware(BodyLimitMiddleware, max_bytes=...)

The body is counted while it streams in: a client's Content-Length is a claim, and optional. FastAPI has a
``max_body_size`` of its own, but answers a declared excess in plain text. A compressed body would have to be counted
after it has been unpacked, and nobody here unpacks one: it is refused.

``protocol`` bounds the head of a request, ``rate`` how many there are, ``deadlines`` those that a stop meets.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from starlette.datastructures import Headers

from plimsoll_runtime.errors import TooLargeError, TooLateError, UnsupportedMediaError
from plimsoll_runtime.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PLAIN: Final = frozenset({"", "identity"})

log = structlog.stdlib.get_logger(__name__)


class BodyLimitMiddleware:
    """Pure ASGI: raises into whoever reads more than ``max_bytes``, before reading on, or reads a compressed body."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, counting."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared, encoding = headers.get("content-length", ""), headers.get("content-encoding", "")
        received = int(declared) if declared.isdecimal() and int(declared) > self._max_bytes else 0

        async def receive_and_count() -> Message:
            nonlocal received
            if encoding.strip().lower() not in PLAIN:
                raise UnsupportedMediaError("Send the body uncompressed.", headers={"accept-encoding": "identity"})
            if received <= self._max_bytes:
                message = await receive()
                received += len(message.get("body", b""))
                if received <= self._max_bytes:
                    return message
            raise TooLargeError(f"The body is larger than {self._max_bytes} bytes.")

        await self._app(scope, receive_and_count, send)


class RequestDeadlineMiddleware:
    """Pure ASGI: cancels a handler that has not begun its response in time, and answers 503 for it.

    A response that has begun may last: streams, and background tasks behind it. So may WebSockets. A ``def`` handler's
    thread cannot be cancelled; its client gets the answer nevertheless. Of the database's transaction nothing remains.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_and_stop_the_clock(message: Message) -> None:
            if not patience.expired():
                patience.reschedule(None)
            await send(message)

        try:
            async with asyncio.timeout(self._seconds) as patience:
                await self._app(scope, receive, send_and_stop_the_clock)
        except TimeoutError:
            if not patience.expired():
                raise
            log.warning("request took too long", path=scope["path"], seconds=self._seconds)
            late = TooLateError(headers={"connection": "close"})  # what remains of its body is not waited for
            await problem(late.status_code, late.detail, headers=late.headers)(scope, receive, send)
