"""From a key to its reconciler, with logs and metrics around it. What the queue calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from plimsoll.budget.demand import Overlap
from plimsoll.render.names import MANAGED_BY, MANAGER, SERVICE, SERVICE_NAMESPACE

from plimsoll_operator import metrics
from plimsoll_operator.book import Book
from plimsoll_operator.budgets import Budgets
from plimsoll_operator.queue import Done, Key, Kind
from plimsoll_operator.services import Services

if TYPE_CHECKING:
    from collections.abc import Callable

    from plimsoll_operator.cluster import Cluster
    from plimsoll_operator.settings import Settings


def utc_now() -> str:
    """The time as Kubernetes writes it, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Both reconcilers behind one door."""

    budgets: Budgets
    services: Services
    cluster: Cluster
    wake: Callable[[Key], None]
    namespaces: tuple[str, ...] = ()
    """What is looked after; empty for the whole cluster."""

    @classmethod
    def build(
        cls, *, cluster: Cluster, settings: Settings, wake: Callable[[Key], None], clock: Callable[[], str] = utc_now
    ) -> Reconciler:
        """Wires the two to one book.

        Args:
            cluster: the Kubernetes API.
            settings: the operator's settings.
            wake: puts a key into the queue.
            clock: the time, as Kubernetes writes it.
        """
        book = Book(cluster=cluster, wake=wake, clock=clock)
        return cls(
            budgets=Budgets(book, settings),
            services=Services(book, settings.overlap, settings.service_account),
            cluster=cluster,
            wake=wake,
            namespaces=settings.watch_namespaces,
        )

    async def reconcile(self, key: Key) -> Done:
        """One look at one object."""
        inner = self.budgets if key.kind is Kind.BUDGET else self.services
        with (
            structlog.contextvars.bound_contextvars(kind=key.kind.value, resource=f"{key.namespace}/{key.name}"),
            metrics.RECONCILE_SECONDS.labels(key.kind.value).time(),
        ):
            try:
                done = await inner.reconcile(key)
            except Exception:
                metrics.RECONCILES.labels(key.kind.value, "failed").inc()
                raise
        metrics.RECONCILES.labels(key.kind.value, "done").inc()
        return done

    async def resync(self) -> None:
        """Wakes every object there is, and every one that is gone and has left something behind."""
        keys = set()
        for kind in Kind:
            for manifest in await self.cluster.list(kind.value):
                keys.add(Key(kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"]))
                for claim in manifest.get("status", {}).get("claims", []):
                    keys.add(Key(Kind.SERVICE, claim["namespace"], claim["name"]))
        if self.services.overlap is Overlap.GUARDED:
            for manifest in await self.cluster.list("PriorityClass", labels={MANAGED_BY: MANAGER}):
                labels = manifest["metadata"]["labels"]
                keys.add(Key(Kind.SERVICE, labels[SERVICE_NAMESPACE], labels[SERVICE]))
        for key in keys:
            if not self.namespaces or key.namespace in self.namespaces:
                self.wake(key)
