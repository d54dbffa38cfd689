"""The contract around an app, as middlewares: the same for our own server (``server``) and for others (``adopt``)."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from plimsoll_runtime.access import RequestLogMiddleware
from plimsoll_runtime.deadlines import DeadlineMiddleware
from plimsoll_runtime.drain import DrainMiddleware
from plimsoll_runtime.health import HealthMiddleware
from plimsoll_runtime.observe import ObserveMiddleware
from plimsoll_runtime.websocket import WebSocketMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from plimsoll_runtime.drain import Drain
    from plimsoll_runtime.settings import ShutdownSettings


def wrap(
    app: ASGIApp,
    *,
    drain: Drain,
    settings: ShutdownSettings,
    request_log: bool = True,
    tell_metrics: bool = True,
) -> ASGIApp:
    """The app as the contract wants it served.

    From outside in: drain, probes and metrics, request log, deadlines, WebSockets, the watch over the event loop.
    """
    lifespan_seconds = settings.plimsoll_lifespan_seconds
    app = ObserveMiddleware(app, stall_seconds=settings.plimsoll_stall_seconds)
    app = WebSocketMiddleware(app, drain=drain)
    app = DeadlineMiddleware(app, drain=drain, lifespan_seconds=lifespan_seconds)
    if request_log:
        app = RequestLogMiddleware(app)
    return DrainMiddleware(HealthMiddleware(app, drain=drain, tell_metrics=tell_metrics), drain=drain)


def settle() -> None:
    """What modules and app have made by now stays to the end: garbage collections need not look at all of it again.

    Each full one would, and stand still for some ten milliseconds under load.
    """
    gc.collect()
    gc.freeze()
