"""The contract in any FastAPI or Starlette app, whatever starts it: ``adopt(app)``.

Under ``uvicorn app:app``, ``uvicorn --workers N`` and ``gunicorn -k uvicorn_worker.UvicornWorker``. The middlewares are
those of our own server (``contract``); what remains is the signal. uvicorn installs its handlers before the lifespan
starts, so once the app has started its handler is taken over: SIGTERM begins the drain, and reaches uvicorn when the
drain is over. The server behind that handler is asked to keep the request deadline where nothing else set one, as
UvicornWorker does not.

Reads PLIMSOLL_DRAIN_SECONDS, PLIMSOLL_REQUEST_DEADLINE_SECONDS, PLIMSOLL_LIFESPAN_SECONDS, PLIMSOLL_STALL_SECONDS and
OpenTelemetry's own (``telemetry``). Nobody drains who was not asked to: where PLIMSOLL_DRAIN_SECONDS is not set (a
laptop, ``--reload``) a SIGTERM stops at once. Under a test client, or any server that is not uvicorn, signals stay
untouched; under ``plimsoll_runtime serve`` the whole of it steps aside.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
from typing import TYPE_CHECKING

import structlog
import uvicorn

from plimsoll_runtime.contract import settle, wrap
from plimsoll_runtime.drain import EXTENSION, Drain
from plimsoll_runtime.exits import THREADS_SECONDS, Exit, leave_after
from plimsoll_runtime.settings import ShutdownSettings

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.stdlib.get_logger(__name__)


def adopt(app: Starlette, *, request_log: bool = False) -> None:
    """Serve this app by the contract.

    Wraps the whole stack, error pages included, which ``add_middleware`` would leave outside. The stack is built on
    the first call, in the process that serves: nothing is shared across gunicorn's fork.

    Args:
        app: stays what it is to everyone who imports it.
        request_log: also give each request an id, a log line and its place in the metrics, as our own server does
            (``access``), and answer ``/metrics``.
    """
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: Adopted(build(), request_log=request_log)  # type: ignore[method-assign] # Starlette's one seam outside its error middleware


class Adopted:
    """Pure ASGI: the wrapped app, and the signals once it has started."""

    def __init__(self, app: ASGIApp, *, request_log: bool) -> None:
        self._settings = ShutdownSettings.load()
        asked = "plimsoll_drain_seconds" in self._settings.model_fields_set
        self._drain = Drain(seconds=self._settings.plimsoll_drain_seconds if asked else 0)
        self._plain = app
        self._wrapped = wrap(
            app,
            drain=self._drain,
            settings=self._settings,
            request_log=request_log,
            tell_metrics=request_log,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, connection or lifespan."""
        if EXTENSION in scope.get("extensions", {}):  # whoever is outside us has a drain already
            await self._plain(scope, receive, send)
            return

        async def send_and_take_over(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._take_over()
            await send(message)
            if message["type"].startswith("lifespan.shutdown.") and self._drain.cut and os.getpid() == 1:
                # Elsewhere uvicorn dies by its signal; here Python would wait for the threads of cut requests.
                leave_after(THREADS_SECONDS, Exit.CUT)

        await self._wrapped(scope, receive, send_and_take_over)

    def _take_over(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # a test client's: Python allows no signal handlers here
        stop, interrupt = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        server = getattr(stop, "__self__", None)
        if not isinstance(server, uvicorn.Server) or not callable(stop) or not callable(interrupt):
            log.warning("no drain: the server that runs this app is not uvicorn")
            return
        if server.config.timeout_graceful_shutdown is None:
            server.config.timeout_graceful_shutdown = math.ceil(self._settings.plimsoll_request_deadline_seconds)
        loop = asyncio.get_running_loop()

        def on_sigterm(signum: int, _: object) -> None:
            if not self._drain.leaving:
                self._drain.terminate()
                loop.call_soon_threadsafe(loop.call_later, self._drain.seconds_left, stop, signum, None)

        def on_sigint(signum: int, _: object) -> None:
            self._drain.interrupt()
            interrupt(signum, None)

        signal.signal(signal.SIGTERM, on_sigterm)
        signal.signal(signal.SIGINT, on_sigint)
        settle()
