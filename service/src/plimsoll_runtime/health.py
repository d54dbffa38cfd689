"""Probes: answered before the app, the log and the pool, so that a probe can neither use up nor be starved by them.

``/healthz`` says that the event loop turns. ``/readyz`` says that the app's lifespan has started, and goes on saying
so during the drain: Kubernetes takes a terminating pod out of its endpoints by itself, and an unready one would lose
kube-proxy's fallback to serving-but-terminating endpoints, the only ones left when a single replica moves.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse

from plimsoll_runtime.drain import Phase

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from plimsoll_runtime.drain import Drain

PROBES: Final = frozenset({"/healthz", "/readyz"})


class HealthMiddleware:
    """Pure ASGI: answers the two probe paths, passes everything else on."""

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))  # the kubelet asks past the proxy
        if path not in PROBES:
            await self._app(scope, receive, send)
            return
        phase = self._drain.phase
        unready = path == "/readyz" and phase is Phase.STARTING
        status = HTTPStatus.SERVICE_UNAVAILABLE if unready else HTTPStatus.OK
        await JSONResponse({"phase": phase.value}, status_code=status)(scope, receive, send)
