"""The web process: uvicorn with the contract's drain and deadlines around any ASGI app.

Started by ``__main__`` with a socket that is bound but does not listen yet: clients are refused, not parked, until the
app has started. ``contract`` has the middlewares, ``exits`` the exit code that says how it ended. Signals:

    SIGTERM          the drain, then uvicorn's own stop within the request deadline, then the app's lifespan
    SIGTERM again    changes nothing
    SIGTERM before the app has started    gives the start-up up
    SIGINT           the same without the drain; a second one waits for nobody
"""

from __future__ import annotations

import contextlib
import math
import signal
from typing import TYPE_CHECKING, Final

import uvicorn
from typing_extensions import override

from plimsoll_runtime.contract import settle, wrap
from plimsoll_runtime.drain import Drain, Phase
from plimsoll_runtime.errors import PlimsollError, StartError
from plimsoll_runtime.exits import THREADS_SECONDS, Exit, leave, leave_after
from plimsoll_runtime.protocol import BoundedProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from plimsoll_runtime.settings import Settings

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the upstream keep-alive of the usual proxies (60 s), so that they, not we, close idle connections."""


def serve(app: ASGIApp, *, settings: Settings, listener: socket.socket) -> int:
    """Serve an app on a bound socket until a signal says otherwise; returns the exit code.

    Proxies: uvicorn believes X-Forwarded-For and X-Forwarded-Proto from the addresses in FORWARDED_ALLOW_IPS, which it
    reads itself, and from nobody else.

    Raises:
        StartError: the app's lifespan failed; its sentence says how, the log has the traceback.
    """
    drain = Drain(seconds=settings.plimsoll_drain_seconds)
    config = uvicorn.Config(
        wrap(app, drain=drain, settings=settings, tell_metrics=not settings.plimsoll_metrics_port),
        loop="uvloop",
        http=BoundedProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        root_path=settings.plimsoll_root_path,
        limit_concurrency=settings.plimsoll_max_connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.plimsoll_request_deadline_seconds),
    )
    server = DrainingServer(config, drain=drain, lifespan_seconds=settings.plimsoll_lifespan_seconds)
    try:
        server.run(sockets=[listener])
    except SystemExit:  # uvicorn's word for an app that did not start
        listener.close()
        if drain.leaving:
            return Exit.TERMINATED
        raise StartError(f"the app did not start: {_said(drain.failure)}") from None
    return server.exit


def _said(error: BaseException | None) -> str:
    """One line: ours as they are, others with their kind."""
    line = " ".join(str(error).split())
    return line if isinstance(error, PlimsollError) else f"{type(error).__name__}: {line}"


class DrainingServer(uvicorn.Server):
    """uvicorn, with the drain deciding when its own shutdown begins."""

    def __init__(self, config: uvicorn.Config, *, drain: Drain, lifespan_seconds: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._lifespan_seconds = lifespan_seconds

    @property
    def exit(self) -> Exit:
        """How it ended."""
        if self.force_exit:
            return Exit.INTERRUPTED
        if self._drain.cut:
            return Exit.CUT
        return Exit.UNCLOSED if self.lifespan.should_exit else Exit.CLEAN

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settle()

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
        if self.exit is not Exit.CLEAN:
            leave(self.exit)  # what did not end in time may not hold us up now
        leave_after(THREADS_SECONDS, Exit.CLEAN)

    def _terminate(self, *_: object) -> None:
        if self._drain.phase is Phase.STARTING:
            # A start-up may block the loop, which then cannot cancel it.
            signal.signal(signal.SIGALRM, lambda *_: leave(Exit.TERMINATED))
            signal.setitimer(signal.ITIMER_REAL, self._lifespan_seconds)
        self._drain.terminate()

    def _interrupt(self, *_: object) -> None:
        self.force_exit = self._drain.phase is Phase.STOPPING  # the second Ctrl-C waits for nobody
        self._drain.interrupt()
