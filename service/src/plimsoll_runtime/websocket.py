"""WebSockets leave within the drain: close code 1012 (service restart), which tells clients to come back.

Sits inside ``contract.wrap``, around the app. An open connection is closed at a moment of its own in the second half
of the drain (``leaving`` says why), and its handler sees an ordinary disconnect with that code. One that does not
look (it only sends, or waits for something else) is cancelled a little later: its client has gone, and it may not hold
the pod until the request deadline.

A handshake that comes during the drain is taken like a request: its client cannot know yet, and a refusal would be a
failure. It is closed like the others, within what is left of the drain. One that comes later is refused with HTTP 503
and Retry-After; a close before the accept would become a 403, which no client retries. Where the server cannot answer a
handshake with a status, the connection is accepted and closed with 1012.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
from starlette.websockets import WebSocketDisconnect

from plimsoll_runtime.correlation import route_of
from plimsoll_runtime.drain import Phase
from plimsoll_runtime.leaving import moment

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from plimsoll_runtime.drain import Drain

SERVICE_RESTART: Final = 1012
PATIENCE_SECONDS: Final = 1.0
"""How long a handler may take to put away what it has once its connection is closed."""

REFUSAL: Final = "websocket.http.response"
CLOSE: Final[Message] = {"type": "websocket.close", "code": SERVICE_RESTART, "reason": "service restart"}

log = structlog.stdlib.get_logger(__name__)


class WebSocketMiddleware:
    """Pure ASGI: refuses and closes WebSockets as the drain asks; passes everything else on."""

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection. No coroutine of its own: a request would pass through it at each of its awaits."""
        if scope["type"] != "websocket":
            return self._app(scope, receive, send)
        if self._drain.phase is Phase.STOPPING:
            return _refuse(scope, receive, send)
        return self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted = asyncio.Event()
        closed = False

        async def send_until_closed(message: Message) -> None:
            if closed and message["type"] == "websocket.close":
                return  # a handler that tidies up after itself
            if closed:
                raise BrokenPipeError("the connection was closed: the process leaves")  # what ASGI asks for
            await send(message)
            if message["type"] == "websocket.accept":
                accepted.set()

        async def close_in_time() -> None:
            nonlocal closed
            await moment(self._drain)
            await accepted.wait()
            closed = True
            with suppress(OSError, RuntimeError):  # the client or the app was faster
                await send(CLOSE)
            patience.reschedule(asyncio.get_running_loop().time() + PATIENCE_SECONDS)

        try:
            async with asyncio.timeout(None) as patience:
                closing = asyncio.create_task(close_in_time())
                try:
                    await self._app(scope, receive, send_until_closed)
                finally:
                    closing.cancel()
        except TimeoutError:
            if not patience.expired():
                raise
            await log.ainfo("websocket handler cancelled: its connection is closed", route=route_of(scope))
        except WebSocketDisconnect:
            if not closed:
                raise


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    if REFUSAL in scope.get("extensions", {}):
        headers = [(b"retry-after", b"1"), (b"connection", b"close")]
        await send({"type": f"{REFUSAL}.start", "status": int(HTTPStatus.SERVICE_UNAVAILABLE), "headers": headers})
        await send({"type": f"{REFUSAL}.body", "body": b""})
    else:
        await send({"type": "websocket.accept"})
        await send(CLOSE)
