"""Reconciles a ConnectionBudget: asks its server for its limits, and writes what follows from the answer."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from plimsoll import budget_report
from plimsoll.accounts import ledger_of, lost_beside, with_ledger, without_forgotten
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.api.meta import BudgetKey
from plimsoll.configuration import Source, grant
from plimsoll.errors import Forbidden, NotFound, PlimsollError, ProbeFailed
from plimsoll.observed import makers, running
from plimsoll.rebuild import Traces, rebuilt
from plimsoll.render.admission import binding, binding_name
from plimsoll.render.names import COMPONENT, MANAGED_BY, MANAGER, SERVICE_UID
from pydantic import ValidationError

from plimsoll_operator.probe import probe
from plimsoll_operator.queue import Done, Key, Kind

if TYPE_CHECKING:
    from plimsoll.api.budgetstatus import ConnectionBudgetStatus, UsageStatus
    from plimsoll.budget.capacity import ServerFacts
    from plimsoll.observed import MakerView, PodView

    from plimsoll_operator.book import Book, Page
    from plimsoll_operator.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Budgets:
    """The reconciler of budgets."""

    book: Book
    settings: Settings
    failures: dict[Key, int] = field(default_factory=dict)
    """How many times in a row a budget's server could not be asked."""

    bound: set[str] = field(default_factory=set)
    """Namespaces whose budgets the admission policy is bound to."""

    async def reconcile(self, key: Key) -> Done:
        """One look at one budget; the next one follows after its probe interval."""
        where = BudgetKey(key.namespace, key.name)
        try:
            budget = ConnectionBudget.model_validate(await self.book.cluster.get("ConnectionBudget", *where))
        except NotFound:
            self.failures.pop(key, None)
            await self._forget_beside(where)
            self.book.forget(where)
            await self._bind(key.namespace)
            return Done()
        if key.namespace not in self.bound:
            await self._bind(key.namespace)
        reading = await self._read_server(budget)  # may take seconds, so not under the lock
        async with self.book.opened() as pages:
            page = pages.get(where)
            if page is None or page.budget.metadata.generation != budget.metadata.generation:
                return Done(requeue_after=0)  # gone or edited meanwhile: what was read may be of another server
            budget = await self._with_neighbours(page)
            if isinstance(reading, str):
                status = budget_report.without_secret(budget, reading, now=self.book.clock())
            else:
                if budget.status.server is None:
                    budget = await self._with_rebuilt_ledger(budget)
                pods = running(await self.book.cluster.list("Pod", labels={MANAGED_BY: MANAGER}))
                status = budget_report.after_reading(
                    budget, reading, others=page.others, pods=pods, now=self.book.clock()
                )
            await self.book.write(page, status)
        self._wake_overdrawn(before=page.budget.status, after=status)
        interval = float(budget.spec.probe_interval_seconds)
        if not isinstance(reading, str | Exception):
            self.failures.pop(key, None)
            return Done(requeue_after=interval)
        # A database that is just starting is not kept waiting for an interval; one that stays away is not pestered.
        failures = self.failures[key] = self.failures.get(key, 0) + 1
        return Done(requeue_after=min(interval, 1.5 ** min(failures - 1, 20)))

    async def _with_neighbours(self, page: Page) -> ConnectionBudget:
        """The budget with the neighbours that count: a deleted one does for as long as something connects to it."""
        if all(any(other.key == key for other in page.others) for key in lost_beside(page.budget, page.others)):
            return page.budget
        makers, pods = await self._pods()
        connected = {maker.budget for maker in makers} | {pod.budget for pod in pods}
        return without_forgotten(page.budget, page.others, connected=connected)

    async def _forget_beside(self, gone: BudgetKey) -> None:
        """Lets those that shared its server have what it held, if nothing is left that connects to it."""
        async with self.book.opened() as pages:
            for page in pages.values():
                if str(gone) not in page.budget.status.shared_with:
                    continue
                budget, now = await self._with_neighbours(page), self.book.clock()
                ledger = ledger_of(budget, now=now, others=page.others)
                await self.book.write(page, budget_report.with_ledger(budget, ledger, others=page.others, now=now))

    async def _bind(self, namespace: str) -> None:
        """Binds the admission policy to the budgets of a namespace, or lets it go where none is left."""
        if not self.settings.admission:
            return
        try:
            if await self.book.cluster.list("ConnectionBudget", namespace=namespace):
                await self.book.cluster.apply(binding(namespace))
                self.bound.add(namespace)
            else:
                await self.book.cluster.delete("ValidatingAdmissionPolicyBinding", "", binding_name(namespace))
                self.bound.discard(namespace)  # last: a budget made meanwhile has it bound again at its next look
        except PlimsollError as error:  # the policy only advises; the ledger goes on, and the next look tries again
            log.warning("admission policy is not bound", namespace=namespace, error=str(error))

    async def _pods(self) -> tuple[tuple[MakerView, ...], tuple[PodView, ...]]:
        """What can make pods of any service, and then the pods: in this order none is missed."""
        cluster, ours = self.book.cluster, {MANAGED_BY: MANAGER}
        found = [each for kind in ("Deployment", "Job") for each in await cluster.list(kind, labels=ours)]
        found += await cluster.list("ReplicaSet", labels=ours)
        return makers(found), running(await cluster.list("Pod", labels=ours))

    async def _with_rebuilt_ledger(self, budget: ConnectionBudget) -> ConnectionBudget:
        """The budget with the claims that the world remembers, before its first reading is of use to anyone."""
        cluster, now = self.book.cluster, self.book.clock()
        makers, pods = await self._pods()
        services = []
        for each in await cluster.list("FastAPIService"):
            try:
                services.append(FastAPIService.model_validate(each))
            except ValidationError:  # its pods and guards still tell what it holds
                log.warning("service is not valid", name=each["metadata"]["name"])
        guards = {
            (labels.get(SERVICE_UID, ""), labels.get(COMPONENT, "")): int(quota["spec"]["hard"]["pods"])
            for quota in await cluster.list("ResourceQuota", labels={MANAGED_BY: MANAGER})
            for labels in [quota["metadata"]["labels"]]
        }
        traces = Traces(services=tuple(services), pods=pods, makers=makers, guards=guards)
        ledger = rebuilt(ledger_of(budget, now=now), budget=budget.key, traces=traces)
        return with_ledger(budget, ledger)

    def _wake_overdrawn(self, *, before: ConnectionBudgetStatus, after: ConnectionBudgetStatus) -> None:
        """Wakes the services whose claims follow from what they were seen to open."""
        last = {each.uid: _overdrawn(each) for each in before.usage}
        now = {each.uid: _overdrawn(each) for each in after.usage}
        for each in (*after.usage, *(each for each in before.usage if each.overdrafts and each.uid not in now)):
            if each.uid not in last or now.get(each.uid) != last[each.uid]:
                self.book.wake(Key(Kind.SERVICE, each.namespace, each.name))

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
            command = grant(Source("Secret", ref.name), namespace=meta.namespace, account=self.settings.service_account)
            return f"The operator may not read Secret {ref.name}. Grant it this one: {command}"
        try:
            return await probe(uri, connect_timeout_seconds=self.settings.connect_timeout_seconds)
        except ProbeFailed as failure:
            return failure


def _overdrawn(usage: UsageStatus) -> dict[str, int]:
    """What the workloads of a service were seen to open beyond what they declare."""
    return {each.part: each.connections for each in usage.overdrafts}
