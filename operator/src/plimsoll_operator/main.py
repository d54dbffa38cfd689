"""The operator's process: wires cluster, queue, reconciler and kopf together, and takes them down in order.

SIGTERM (kopf listens for it) → no more events → reconciles under way end → connections close.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

import kopf
import structlog
from plimsoll.errors import PlimsollError
from prometheus_client import start_http_server
from pydantic import ValidationError

from plimsoll_operator import logs, metrics
from plimsoll_operator.cluster import Cluster
from plimsoll_operator.handlers import build_registry, build_settings
from plimsoll_operator.queue import WorkQueue
from plimsoll_operator.reconcile import Reconciler
from plimsoll_operator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

_STUCK_SECONDS = 300.0
"""A key that waits for so long means that no worker gets to it: the process is stuck, and better restarted."""


async def run(settings: Settings) -> None:
    """Runs the operator until it is told to stop."""
    cluster = await Cluster.connect(namespaces=settings.watch_namespaces)
    queue = WorkQueue(workers=settings.concurrency)
    reconciler = Reconciler.build(cluster=cluster, settings=settings, wake=queue.add)
    metrics.QUEUE_DEPTH.set_function(lambda: len(queue))
    metrics.QUEUE_OLDEST.set_function(queue.oldest_seconds)
    start_http_server(settings.metrics_port)
    tasks = [
        asyncio.create_task(queue.run(reconciler.reconcile)),
        asyncio.create_task(_every(settings.resync_seconds, reconciler.resync)),
    ]
    try:
        await kopf.operator(
            registry=build_registry(queue=queue, healthy=lambda: _problem(queue, tasks)),
            settings=build_settings(),
            clusterwide=not settings.watch_namespaces,
            namespaces=settings.watch_namespaces,
            liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz",
        )
    finally:
        await queue.drain(settings.drain_seconds)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await cluster.close()


def _problem(queue: WorkQueue, tasks: list[asyncio.Task[None]]) -> str | None:
    if any(task.done() for task in tasks):
        return "a background task has ended"
    if queue.oldest_seconds() > _STUCK_SECONDS:
        return f"a key has waited for {queue.oldest_seconds():.0f} s"
    return None


async def _every(seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await look()
        except PlimsollError as error:
            log.warning("resync failed", error=str(error))
        await asyncio.sleep(seconds)


def main() -> None:
    """Entry point of the ``plimsoll-operator`` command."""
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())
        sys.exit(f"The operator's settings (environment variables PLIMSOLL_OPERATOR_*) are wrong: {wrong}")
    logs.configure(settings.log_level)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
