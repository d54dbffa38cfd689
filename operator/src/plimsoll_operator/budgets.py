"""Reconciles a ConnectionBudget: asks its server for its limits, and writes what follows from the answer."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plimsoll import budget_report
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.decide import ledger_of
from plimsoll.errors import Forbidden, NotFound, ProbeFailed
from plimsoll.observed import running
from plimsoll.rebuild import rebuilt
from plimsoll.render.names import MANAGED_BY, MANAGER

from plimsoll_operator.probe import probe
from plimsoll_operator.queue import Done

if TYPE_CHECKING:
    from plimsoll.budget.capacity import ServerFacts

    from plimsoll_operator.book import Book
    from plimsoll_operator.queue import Key
    from plimsoll_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class Budgets:
    """The reconciler of budgets."""

    book: Book
    settings: Settings
    failures: dict[Key, int] = field(default_factory=dict)
    """How many times in a row a budget's server could not be asked."""

    async def reconcile(self, key: Key) -> Done:
        """One look at one budget; the next one follows after its probe interval."""
        where = key.namespace, key.name
        try:
            budget = ConnectionBudget.model_validate(await self.book.cluster.get("ConnectionBudget", *where))
        except NotFound:
            self.failures.pop(key, None)
            self.book.wake_waiting(where)
            return Done()
        reading = await self._read_server(budget)  # may take seconds, so not under the lock
        async with self.book.opened(where) as page:
            if page.budget.metadata.generation != budget.metadata.generation:
                return Done(requeue_after=0)  # edited meanwhile: what was read may be of another server
            budget = page.budget
            if isinstance(reading, str):
                status = budget_report.without_secret(budget, reading, now=self.book.clock())
            else:
                if budget.status.server is None:
                    budget = await self._with_rebuilt_ledger(budget)
                status = budget_report.after_reading(budget, reading, now=self.book.clock())
            await self.book.write(page, status)
        interval = float(budget.spec.probe_interval_seconds)
        if not isinstance(reading, str | Exception):
            self.failures.pop(key, None)
            return Done(requeue_after=interval)
        # A database that is just starting is not kept waiting for an interval; one that stays away is not pestered.
        failures = self.failures[key] = self.failures.get(key, 0) + 1
        return Done(requeue_after=min(interval, 1.5 ** min(failures - 1, 20)))

    async def _with_rebuilt_ledger(self, budget: ConnectionBudget) -> ConnectionBudget:
        """The budget with the claims that the world remembers, before its first reading is of use to anyone."""
        cluster, now = self.book.cluster, self.book.clock()
        ledger = rebuilt(
            ledger_of(budget, now=now),
            budget=f"{budget.metadata.namespace}/{budget.metadata.name}",
            services=[FastAPIService.model_validate(each) for each in await cluster.list("FastAPIService")],
            pods=running(await cluster.list("Pod", labels={MANAGED_BY: MANAGER})),
        )
        return budget.model_copy(update={"status": budget_report.with_ledger(budget, ledger, now=now)})

    async def _read_server(self, budget: ConnectionBudget) -> ServerFacts | ProbeFailed | str:
        """The server's limits, why it did not tell them, or (as a sentence) why its URI could not be had."""
        meta, ref = budget.metadata, budget.spec.secret_ref
        try:
            secret = await self.book.cluster.get("Secret", meta.namespace, ref.name)
            uri = base64.b64decode(secret.get("data", {})[ref.key], validate=True).decode().strip()
        except NotFound:
            return f"There is no Secret {ref.name} in namespace {meta.namespace}; create it, or correct secretRef.name."
        except KeyError:
            return f"Secret {ref.name} has no key {ref.key}; add it, or correct secretRef.key."
        except (binascii.Error, UnicodeDecodeError):
            return f"Key {ref.key} of Secret {ref.name} is not text."
        except Forbidden:
            account = self.settings.service_account.removeprefix("system:serviceaccount:")
            return (
                f"The operator may not read Secret {ref.name}. Grant it this one:"
                f" kubectl -n {meta.namespace} create role plimsoll-{ref.name} --verb=get --resource=secrets"
                f" --resource-name={ref.name} && kubectl -n {meta.namespace} create rolebinding plimsoll-{ref.name}"
                f" --role=plimsoll-{ref.name} --serviceaccount={account}"
            )
        try:
            return await probe(uri, connect_timeout_seconds=self.settings.connect_timeout_seconds)
        except ProbeFailed as failure:
            return failure
