"""Probes: answered before the app, the log and the pool, so that a probe can neither use up nor be starved by them.

``/healthz`` says that the event loop turns. ``/readyz`` says that the app's lifespan has started, and goes on saying
so during the drain: Kubernetes takes a terminating pod out of its endpoints by itself, and an unready one would lose
kube-proxy's fallback to serving-but-terminating endpoints, the only ones left when a single replica moves.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from plimsoll_runtime.drain import Phase

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from plimsoll_runtime.drain import Drain


class HealthMiddleware:
    """Pure ASGI: answers the two probe paths, passes everything else on."""

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer or pass on; no coroutine of its own, like ``websocket``."""
        if scope["type"] != "http" or scope["path"] not in {"/healthz", "/readyz"}:
            return self._app(scope, receive, send)
        phase = self._drain.phase
        unready = scope["path"] == "/readyz" and phase is Phase.STARTING
        status = HTTPStatus.SERVICE_UNAVAILABLE if unready else HTTPStatus.OK
        return JSONResponse({"phase": phase.value}, status_code=status)(scope, receive, send)
