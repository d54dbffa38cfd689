"""Probes and metrics: answered before the app, the log and the pool, and neither counted nor starved by them.

``/healthz`` says that the event loop turns. ``/readyz`` says that the app's lifespan has started, and goes on saying
so during the drain: Kubernetes takes a terminating pod out of its endpoints by itself, and an unready one would lose
kube-proxy's fallback to serving-but-terminating endpoints, the only ones left when a single replica moves.

``/metrics`` is Prometheus' (``metrics``). It is put together in a thread.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, Response

from plimsoll_runtime import metrics
from plimsoll_runtime.drain import Phase

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from plimsoll_runtime.drain import Drain

PROBES: Final = frozenset({"/healthz", "/readyz"})
METRICS: Final = "/metrics"


class HealthMiddleware:
    """Pure ASGI: answers the probes' paths and Prometheus', passes everything else on.

    Args:
        app: what is served.
        drain: knows the phase.
        tell_metrics: whether Prometheus is answered here.
    """

    def __init__(self, app: ASGIApp, *, drain: Drain, tell_metrics: bool) -> None:
        self._app = app
        self._drain = drain
        self._answered = PROBES | {METRICS} if tell_metrics else PROBES

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer or pass on; no coroutine of its own, like ``websocket``."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        path = scope["path"].removeprefix(scope.get("root_path", ""))  # the kubelet asks past the proxy
        if path not in self._answered:
            return self._app(scope, receive, send)
        if path == METRICS:
            return _tell_metrics(scope, receive, send)
        phase = self._drain.phase
        unready = path == "/readyz" and phase is Phase.STARTING
        status = HTTPStatus.SERVICE_UNAVAILABLE if unready else HTTPStatus.OK
        return JSONResponse({"phase": phase.value}, status_code=status)(scope, receive, send)


async def _tell_metrics(scope: Scope, receive: Receive, send: Send) -> None:
    text = await asyncio.to_thread(metrics.exposition)
    await Response(text, media_type=metrics.CONTENT_TYPE)(scope, receive, send)
