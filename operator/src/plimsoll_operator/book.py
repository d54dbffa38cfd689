"""The book of budgets: every read-decide-write of a budget's status goes through here, one at a time per budget.

Shared by the reconcilers of budgets (which write what the server said) and of services (which write claims). The lock
keeps this process to one writer per budget; the resourceVersion guards against another process. The book also remembers
which services wait for room, to wake them when some is freed; a restart wakes everyone anyway.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plimsoll import budget_report
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.conditions import ConditionType

from plimsoll_operator import metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from plimsoll.api.connectionbudget import ConnectionBudgetStatus
    from plimsoll.api.meta import Manifest
    from plimsoll.budget.ledger import Ledger

    from plimsoll_operator.cluster import Cluster
    from plimsoll_operator.queue import Key

Where = tuple[str, str]
"""Namespace and name of a budget."""


@dataclass(frozen=True, slots=True)
class Page:
    """A budget as it was read under its lock."""

    manifest: Manifest
    budget: ConnectionBudget


@dataclass(slots=True)
class Book:
    """Access to all budgets.

    Attributes:
        cluster: the Kubernetes API.
        wake: puts a key into the queue.
        clock: the time, as Kubernetes writes it.
    """

    cluster: Cluster
    wake: Callable[[Key], None]
    clock: Callable[[], str]
    _locks: defaultdict[Where, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _waiting: defaultdict[Where, set[Key]] = field(default_factory=lambda: defaultdict(set))

    @asynccontextmanager
    async def opened(self, where: Where) -> AsyncIterator[Page]:
        """The budget as it is now, for nobody else in this process until the block ends.

        Raises:
            NotFound: there is no such budget.
        """
        async with self._locks[where]:
            manifest = await self.cluster.get("ConnectionBudget", *where)
            yield Page(manifest, ConnectionBudget.model_validate(manifest))

    async def write_ledger(self, page: Page, ledger: Ledger) -> None:
        """Writes the claims of ``ledger``; within ``opened``."""
        await self.write(page, budget_report.with_ledger(page.budget, ledger, now=self.clock()))

    async def write(self, page: Page, status: ConnectionBudgetStatus) -> None:
        """Writes a status if it says anything new; within ``opened``.

        Raises:
            Conflict: another process has changed the budget since it was read.
        """
        before, meta = page.budget.status, page.budget.metadata
        where = meta.namespace, meta.name
        metrics.USABLE.labels(*where).set(status.usable or 0)
        metrics.CLAIMED.labels(*where).set(status.claimed or 0)
        metrics.LIVE.labels(*where).set(status.live or 0)
        if status == before:
            return
        wire = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        await self.cluster.replace_status({**page.manifest, "status": wire})
        if _room(status) != _room(before):
            self.wake_waiting(where)

    def wait(self, where: Where, key: Key) -> None:
        """Has ``key`` woken when the budget changes."""
        self._waiting[where].add(key)

    def wake_waiting(self, where: Where) -> None:
        """Wakes every service that waits for this budget."""
        for key in self._waiting.pop(where, set()):
            self.wake(key)


def _room(status: ConnectionBudgetStatus) -> object:
    """What a waiting service's fate depends on."""
    ready = next((each.status for each in status.conditions if each.type == ConditionType.READY.value), "")
    return status.observed_generation, status.usable, status.claims, ready
