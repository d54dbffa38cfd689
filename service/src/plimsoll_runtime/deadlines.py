"""What must end in time when a process leaves: the requests in flight, and then the app's lifespan.

Sits inside ``contract.wrap``, within the request log. The server cancels what is still in flight when
PLIMSOLL_REQUEST_DEADLINE_SECONDS is over; uvicorn would then answer a bare 500. Here a request whose response has not
begun gets a 503 that asks to come back; a response that has begun is cut visibly; both are counted, for the exit code.

Then the lifespan: the app closes its engine and clients only after every cut request has unwound, and within
PLIMSOLL_LIFESPAN_SECONDS, all of that together; uvicorn would wait for ever. Whatever logs and prints have buffered is
written before the server hears that the lifespan is over, and traces are sent. A SIGTERM during the app's start-up
cancels the start-up.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import structlog

from plimsoll_runtime import telemetry
from plimsoll_runtime.correlation import route_of
from plimsoll_runtime.exits import flush
from plimsoll_runtime.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from plimsoll_runtime.drain import Drain

FLUSH_SECONDS: Final = 1.0
"""How long a log handler may block while it writes the rest, and the least that traces get."""

DETAIL: Final = "The server is stopping and did not finish this request; it may or may not have taken effect."

log = structlog.stdlib.get_logger(__name__)


class DeadlineMiddleware:
    """Pure ASGI: as above.

    Args:
        app: what is served.
        drain: counts what was cut, and tells of a SIGTERM during start-up.
        lifespan_seconds: how long the app may take to close, or to give up its start-up.
    """

    def __init__(self, app: ASGIApp, *, drain: Drain, lifespan_seconds: float) -> None:
        self._app = app
        self._drain = drain
        self._lifespan_seconds = lifespan_seconds
        self._in_flight: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, connection or lifespan."""
        if scope["type"] == "lifespan":
            lifespan = _Lifespan(
                receive, send, drain=self._drain, seconds=self._lifespan_seconds, in_flight=self._in_flight
            )
            await lifespan.run(self._app, scope)
            return
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs has one
        self._in_flight.add(task)
        try:
            if scope["type"] == "http":
                await self._request(scope, receive, send, task=task)
            else:
                await self._app(scope, receive, send)
        finally:
            self._in_flight.discard(task)

    async def _request(self, scope: Scope, receive: Receive, send: Send, *, task: asyncio.Task[Any]) -> None:
        started = complete = False

        async def send_and_note(message: Message) -> None:
            nonlocal started, complete
            started = True
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except asyncio.CancelledError:
            if not task.cancelling():
                raise  # the app's own doing: nobody cancelled this request
            self._drain.cut += 1
            client_saw = "all: its background task was cut" if complete else "a part" if started else "503"
            log.warning("request cut", route=route_of(scope), client_saw=client_saw)
            if started:
                raise  # the server must cut the connection: a truncated body may not look like a whole one
            task.uncancel()
            headers = {"retry-after": "1", "connection": "close"}
            await problem(HTTPStatus.SERVICE_UNAVAILABLE, DETAIL, headers=headers)(scope, receive, send)


class _Lifespan:
    """The app's lifespan as the server sees it: a start-up that can be given up, and an end that has a deadline."""

    def __init__(
        self, receive: Receive, send: Send, *, drain: Drain, seconds: float, in_flight: set[asyncio.Task[Any]]
    ) -> None:
        self._receive = receive
        self._send = send
        self._drain = drain
        self._seconds = seconds
        self._in_flight = in_flight
        self._patience = asyncio.timeout(None)
        self._stage = "startup"
        self._answered = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """From the server's first message to the app's last."""
        self._giving_up = asyncio.create_task(self._give_up())
        try:
            async with self._patience:
                await app(scope, self.receive, self.send)
        except Exception as error:
            if not isinstance(error, TimeoutError) or not self._patience.expired():
                self._drain.failure = error
                raise
            if not self._answered:
                await self.send({"type": f"lifespan.{self._stage}.failed", "message": f"{self._stage} was cancelled"})
        finally:
            self._giving_up.cancel()

    async def _give_up(self) -> None:
        await self._drain.told()
        self._patience.reschedule(0)

    async def receive(self) -> Message:
        """What the server says. From its word to end on, the time runs."""
        message = await self._receive()
        if message["type"] == "lifespan.shutdown":
            self._stage, self._answered = "shutdown", False
            self._patience.reschedule(asyncio.get_running_loop().time() + self._seconds)
            if self._in_flight:  # half for them, half for the app: one that clings may not cost the app its end
                await asyncio.wait(self._in_flight, timeout=self._seconds / 2)
        return message

    async def send(self, message: Message) -> None:
        """What the app answers. Once it has started it can no longer be given up; once it has ended all is written.

        All of it before the server hears: that may be the end of the process.
        """
        self._answered = True
        self._giving_up.cancel()
        ends_at = self._patience.when()
        if not self._patience.expired():
            self._patience.reschedule(None)  # it was in time; what remains is ours
        elif self._stage == "shutdown":
            log.error("the app did not close in time", seconds=self._seconds)
        if self._stage == "shutdown":
            left = ends_at - asyncio.get_running_loop().time() if ends_at else 0
            await asyncio.gather(_flush(), telemetry.flush(seconds=max(left, FLUSH_SECONDS)))
        await self._send(message)


async def _flush() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(FLUSH_SECONDS):
            await asyncio.to_thread(flush)
