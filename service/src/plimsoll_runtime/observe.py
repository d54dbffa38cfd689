"""Begins to look when the app has started, and ends with it: the watch over the event loop, and the traces.

The innermost part of ``contract.wrap`` that sees the lifespan. Not before the app has started: what takes its time then
is no handler, and an app that sets up telemetry of its own does it by then (``telemetry``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll_runtime import telemetry
from plimsoll_runtime.stalls import Watchdog

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ObserveMiddleware:
    """Pure ASGI: follows the lifespan, passes everything on.

    Args:
        app: what is served.
        stall_seconds: how long the event loop may be silent; 0 for ever.
    """

    def __init__(self, app: ASGIApp, *, stall_seconds: float) -> None:
        self._app = app
        self._stall_seconds = stall_seconds

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request, connection or lifespan; no coroutine of its own, like ``websocket``."""
        return (self._app if scope["type"] != "lifespan" else self._live)(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        watchdog = Watchdog(seconds=self._stall_seconds)

        async def send_and_begin(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                telemetry.configure()
                watchdog.start()
            await send(message)

        try:
            await self._app(scope, receive, send_and_begin)
        finally:
            watchdog.stop()
