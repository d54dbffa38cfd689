"""The drain: how a web process leaves without failing a request.

Sits between the signal and uvicorn. When a pod is deleted, clients go on sending for a while: over new connections
until every kube-proxy has heard, over kept-alive ones until someone closes them. So the process goes on accepting for
PLIMSOLL_DRAIN_SECONDS and adds ``Connection: close`` to every response, which moves each client to another pod at a
moment when none of its requests can be lost. Only then does uvicorn stop.

    STARTING ──started──▶ SERVING ──SIGTERM──▶ DRAINING ──time──▶ STOPPING
        └──────────────SIGTERM (nobody knows us yet)─────────────────▲
                           SERVING with a drain of 0 ────────────────┘

SIGINT stops without a drain from any phase. Further SIGTERMs change nothing.

Handlers that last hear of it through ``leaving``. Standard library only.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

EXTENSION = "plimsoll.drain"
"""Where handlers find the process's drain in the ASGI scope's extensions: a stream watches it to end early."""


class Phase(Enum):
    """Where the process stands between start and exit."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPING = "stopping"


class Drain:
    """The state machine above. Signal handlers may call it: plain assignments, no lock, and one thread-safe wake-up.

    Args:
        seconds: how long to keep accepting after SIGTERM; 0 switches the drain off.
        clock: monotonic seconds.

    Attributes:
        cut: how many requests the deadline has cut (``deadlines``).
        failure: what the app's lifespan raised (``deadlines``).
    """

    def __init__(self, *, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._over_at = 0.0
        self._phase = Phase.STARTING
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()
        self.cut = 0
        self.failure: Exception | None = None

    @property
    def phase(self) -> Phase:
        """The phase at this instant; a drain whose time has come is over without anybody's call."""
        if self._phase is Phase.DRAINING and self._clock() >= self._over_at:
            self._phase = Phase.STOPPING
        return self._phase

    @property
    def leaving(self) -> bool:
        """Whether clients should be sent elsewhere."""
        return self._phase is Phase.DRAINING or self._phase is Phase.STOPPING

    @property
    def seconds_left(self) -> float:
        """How much of the drain is left; 0 outside it."""
        return max(0.0, self._over_at - self._clock()) if self._phase is Phase.DRAINING else 0.0

    async def told(self) -> None:
        """Return as soon as the process is leaving."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a test client brings a new one each time
            self._told = asyncio.Event()
            self._loop = loop
        if not self.leaving:
            await self._told.wait()

    def started(self) -> None:
        """The app's lifespan has started."""
        if self._phase is Phase.STARTING:
            self._phase = Phase.SERVING

    def terminate(self) -> None:
        """SIGTERM."""
        if self._phase is Phase.SERVING and self._seconds > 0:
            self._over_at = self._clock() + self._seconds
            self._phase = Phase.DRAINING
        elif self._phase is not Phase.DRAINING:
            self._phase = Phase.STOPPING
        self._tell()

    def interrupt(self) -> None:
        """SIGINT: a person at a terminal does not want to wait for endpoints."""
        self._phase = Phase.STOPPING
        self._tell()

    def _tell(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._told.set)


class DrainMiddleware:
    """Pure ASGI, outermost: tells the drain when the app has started, and clients when to go.

    uvicorn sees the header that is added here and closes the connection after the body, so the client learns of it
    together with a complete response.
    """

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through, adding what the class promises."""

        async def send_and_tell(message: Message) -> None:
            if message["type"] == "http.response.start" and self._drain.leaving:
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() != b"connection"]
                message = {**message, "headers": [*kept, (b"connection", b"close")]}
            elif message["type"] == "lifespan.startup.complete":
                self._drain.started()
            await send(message)

        scope.setdefault("extensions", {})[EXTENSION] = self._drain
        await self._app(scope, receive, send_and_tell)
