"""The web process: uvicorn with the contract's drain and deadlines around any ASGI app.

Started by ``__main__`` with a socket that is bound but does not listen yet: clients are refused, not parked, until the
app has started. How it ends, and the exit code that says so:

    0    asked to stop, and everything in flight was served
    1    stopped, but the app did not close within PLIMSOLL_LIFESPAN_SECONDS
    3    the app could not be imported, or did not start
    143  asked to stop while the app was still being imported (``__main__``)
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn
from typing_extensions import override
from uvicorn.lifespan.on import LifespanOn

from plimsoll_runtime.access import RequestLogMiddleware
from plimsoll_runtime.drain import Drain, DrainMiddleware, Phase
from plimsoll_runtime.health import HealthMiddleware

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from plimsoll_runtime.settings import Settings

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the upstream keep-alive of the usual proxies (60 s), so that they, not we, close idle connections."""

CLEAN: Final = 0
CUT: Final = 1

log = structlog.stdlib.get_logger(__name__)


def wrap(app: ASGIApp, *, drain: Drain) -> ASGIApp:
    """The app as the contract wants it served. From outside in: drain, probes, request log."""
    return DrainMiddleware(HealthMiddleware(RequestLogMiddleware(app), drain=drain), drain=drain)


def serve(app: ASGIApp, *, settings: Settings, listener: socket.socket) -> int:
    """Serve an app on a bound socket until a signal says otherwise; returns the exit code."""
    drain = Drain(seconds=settings.plimsoll_drain_seconds)
    config = uvicorn.Config(
        wrap(app, drain=drain),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.plimsoll_request_deadline_seconds),
    )
    config.load()
    config.lifespan_class = partial(BoundedLifespan, seconds=settings.plimsoll_lifespan_seconds)
    server = DrainingServer(config, drain=drain)
    server.run(sockets=[listener])
    return CUT if server.lifespan.should_exit else CLEAN


class BoundedLifespan(LifespanOn):
    """A lifespan whose end has a deadline; uvicorn's own waits for ever."""

    def __init__(self, config: uvicorn.Config, *, seconds: float) -> None:
        super().__init__(config)
        self._seconds = seconds

    @override
    async def shutdown(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await super().shutdown()
        except TimeoutError:
            self.should_exit = True
            await log.aerror("the app did not close in time", seconds=self._seconds)


class DrainingServer(uvicorn.Server):
    """uvicorn, with the drain deciding when its own shutdown begins."""

    def __init__(self, config: uvicorn.Config, *, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    @override
    async def on_tick(self, counter: int) -> bool:
        """Every 0.1 s, and once right after start-up: a SIGTERM during start-up stops before the first request."""
        self.should_exit = self.should_exit or self._drain.phase is Phase.STOPPING
        return await super().on_tick(counter)

    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        """Our handlers instead of uvicorn's, which would raise the signal again at the end and lose our exit code."""
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, self._interrupt)
        yield

    def _terminate(self, *_: object) -> None:
        self._drain.terminate()

    def _interrupt(self, *_: object) -> None:
        self.force_exit = self._drain.phase is Phase.STOPPING  # the second Ctrl-C waits for nobody
        self._drain.interrupt()
