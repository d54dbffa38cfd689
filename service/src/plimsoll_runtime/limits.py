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
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.datastructures import Headers

from plimsoll_runtime.correlation import route_of
from plimsoll_runtime.errors import TooLargeError, TooLateError, UnsupportedMediaError
from plimsoll_runtime.problems import problem

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PLAIN: Final = frozenset({"", "identity"})

CLOCK_SECONDS: Final = 0.002
"""The loop's timers may go off as much too early."""

log = structlog.stdlib.get_logger(__name__)


class BodyLimitMiddleware:
    """Pure ASGI: raises into whoever reads more than ``max_bytes``, before reading on, or reads a compressed body."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass everything on, counting; no coroutine of its own, like ``websocket``."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        received: int | None = None

        async def receive_and_count() -> Message:
            nonlocal received
            if received is None:  # who reads no body pays for none of this
                received = self._declared(Headers(scope=scope))
            if received <= self._max_bytes:
                message = await receive()
                received += len(message.get("body", b""))
                if received <= self._max_bytes:
                    return message
            raise TooLargeError(f"The body is larger than {self._max_bytes} bytes.")

        return self._app(scope, receive_and_count, send)

    def _declared(self, headers: Headers) -> int:
        """The length that the client says, if that is already too much, else 0."""
        if headers.get("content-encoding", "").strip().lower() not in PLAIN:
            raise UnsupportedMediaError("Send the body uncompressed.", headers={"accept-encoding": "identity"})
        declared = headers.get("content-length", "")
        return int(declared) if declared.isdecimal() and int(declared) > self._max_bytes else 0


class RequestDeadlineMiddleware:
    """Pure ASGI: cancels a handler that has not begun its response in time, and answers 503 for it.

    A response that has begun may last: streams, and background tasks behind it. So may WebSockets. A ``def`` handler's
    thread cannot be cancelled; its client gets the answer nevertheless. Of the database's transaction nothing remains.

    All have the same time, so they run out in the order in which they came: one timer, for the first, serves all.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._running: dict[_Running, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        mine = self._begin()

        async def send_and_stop_the_clock(message: Message) -> None:
            self._running.pop(mine, None)
            await send(message)

        try:
            await self._app(scope, receive, send_and_stop_the_clock)
        except asyncio.CancelledError:
            if not mine.late or mine.task.uncancel():  # a stop's doing, or also a stop's
                raise
            log.warning("request took too long", route=route_of(scope), seconds=self._seconds)
            late = TooLateError(headers={"connection": "close"})  # what remains of its body is not waited for
            await problem(late.status_code, late.detail, headers=late.headers)(scope, receive, send)
        finally:
            self._running.pop(mine, None)

    def _begin(self) -> _Running:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a test client brings a new one each time
            self._loop, self._timer = loop, None
            self._running.clear()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs has one
        mine = _Running(task, until=loop.time() + self._seconds)
        self._running[mine] = None
        if self._timer is None:
            self._timer = loop.call_at(mine.until, self._cut, loop)
        return mine

    def _cut(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel those whose time is over, and wake up again for the first of the others."""
        now = loop.time() + CLOCK_SECONDS
        while self._running:
            first = next(iter(self._running))
            if first.until > now:
                self._timer = loop.call_at(first.until, self._cut, loop)
                return
            del self._running[first]
            first.late = first.task.cancel()
        self._timer = None


class _Running:
    """A request whose response has not begun."""

    __slots__ = ("late", "task", "until")

    def __init__(self, task: asyncio.Task[Any], *, until: float) -> None:
        self.task = task
        self.until = until
        self.late = False
