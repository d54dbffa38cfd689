"""The book of budgets: every read-decide-write of a budget's status goes through here, one at a time.

Shared by the reconcilers of budgets (which write what the server said) and of services (which write claims). A service
may claim from several budgets and several budgets may point at one server, so there is one lock for all: while one
decides, no claim changes that the decision rests on. The resourceVersion guards against another process. The book also
remembers which services wait for room, to wake them when some is freed; a restart wakes everyone anyway.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plimsoll import budget_report
from plimsoll.accounts import same_server
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.conditions import ConditionType, of_type

from plimsoll_operator import metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from plimsoll.api.budgetstatus import ConnectionBudgetStatus
    from plimsoll.api.meta import BudgetKey, Manifest
    from plimsoll.budget.ledger import Ledger

    from plimsoll_operator.cluster import Cluster
    from plimsoll_operator.queue import Key


@dataclass(frozen=True, slots=True)
class Page:
    """A budget as it was read under the lock, beside all the others."""

    manifest: Manifest
    budget: ConnectionBudget
    others: tuple[ConnectionBudget, ...]


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
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _waiting: defaultdict[BudgetKey, set[Key]] = field(default_factory=lambda: defaultdict(set))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[dict[BudgetKey, Page]]:
        """All budgets as they are now, for nobody else in this process until the block ends."""
        async with self._lock:
            manifests = await self.cluster.list("ConnectionBudget")
            budgets = [ConnectionBudget.model_validate(manifest) for manifest in manifests]
            yield {
                budget.key: Page(manifest, budget, tuple(other for other in budgets if other.key != budget.key))
                for manifest, budget in zip(manifests, budgets, strict=True)
            }

    async def write_ledger(self, page: Page, ledger: Ledger) -> None:
        """Writes the claims of ``ledger``; within ``opened``."""
        await self.write(page, budget_report.with_ledger(page.budget, ledger, others=page.others, now=self.clock()))

    async def write(self, page: Page, status: ConnectionBudgetStatus) -> None:
        """Writes a status if it says anything new; within ``opened``.

        Raises:
            Conflict: another process has changed the budget since it was read.
        """
        before = page.budget.status
        where = page.budget.key
        metrics.of_budget(page.budget, status)
        if status == before:
            return
        wire = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        await self.cluster.replace_status({**page.manifest, "status": wire})
        if _room(status) != _room(before):
            for key in (where, *(other.key for other in same_server(page.budget, page.others))):
                self.wake_waiting(key)

    def wait(self, where: BudgetKey, key: Key) -> None:
        """Has ``key`` woken when the budget changes."""
        self._waiting[where].add(key)

    def forget(self, where: BudgetKey) -> None:
        """A budget is gone: who waits for it may find another, and its numbers are no more."""
        metrics.forget_budget(where)
        self.wake_waiting(where)

    def wake_waiting(self, where: BudgetKey) -> None:
        """Wakes every service that waits for this budget."""
        for key in self._waiting.pop(where, set()):
            self.wake(key)


def _room(status: ConnectionBudgetStatus) -> object:
    """What a waiting service's fate depends on."""
    ready = of_type(status.conditions, ConditionType.READY)
    return status.observed_generation, status.usable, status.claims, status.shared_with, ready and ready.status
