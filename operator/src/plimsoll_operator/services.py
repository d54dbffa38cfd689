"""Reconciles a FastAPIService: read everything → the core decides → claim, children, status, in this order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.conditions import ConditionType, Reason
from plimsoll.decide import decide, ledger_of
from plimsoll.errors import NotFound
from plimsoll.observed import Observed, makers, running
from plimsoll.release import orphans, released, stale
from plimsoll.render.names import SERVICE, SERVICE_NAMESPACE, SERVICE_UID
from plimsoll.report import report
from plimsoll.units import NONE

from plimsoll_operator.queue import Done

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plimsoll.api.fastapiservice import FastAPIServiceStatus
    from plimsoll.api.meta import Manifest
    from plimsoll.decide import Decision
    from plimsoll.observed import PodView
    from plimsoll.units import Connections

    from plimsoll_operator.book import Book, Where
    from plimsoll_operator.queue import Key

log = structlog.get_logger(__name__)

_CHILDREN: Final = ("Deployment", "Service", "ResourceQuota", "Job")
_MAKERS: Final = ("Deployment", "ReplicaSet")
"""What can still make pods of a service that is gone, until the garbage collector gets to it."""

_RELEASE_SECONDS: Final = 2.0
"""How soon to look again at pods that outlive their service: nothing wakes the operator when the last one is gone."""

_WAITS_FOR_ROOM: Final = frozenset(
    {Reason.OVER_BUDGET, Reason.WAITING_FOR_BUDGET, Reason.BUDGET_NOT_FOUND, Reason.NAMESPACE_NOT_ALLOWED}
)


@dataclass(frozen=True, slots=True)
class Services:
    """The reconciler of services."""

    book: Book

    async def reconcile(self, key: Key) -> Done:
        """One look at one service."""
        cluster = self.book.cluster
        service = await self._read(key)
        # Guards before pods: what a guard in force lets through is then among the pods that are seen after it.
        children = await self._children(service) if service is not None else []
        pods = running(await cluster.list("Pod", namespace=key.namespace, labels={SERVICE: key.name}))
        left = await self._release(key, service=service, pods=pods)
        if service is None:
            return Done(requeue_after=_RELEASE_SECONDS if left else None)
        observed, decision, held = await self._settle_claim(self._observed(service, children, pods))
        applied = [await cluster.apply(manifest) for manifest in decision.apply]
        for kind, name in decision.delete:
            await cluster.delete(kind, key.namespace, name)
        status = report(observed.with_children(applied), decision, held=held)
        if status != service.status:
            wire = status.model_dump(by_alias=True, exclude_none=True, mode="json")
            await cluster.merge_status("FastAPIService", key.namespace, key.name, wire)
            _log_transition(service, status)
        if any(finding.reason in _WAITS_FOR_ROOM for finding in decision.findings):
            self.book.wait(service.budget_key, key)
        waits = (decision.requeue_after, _RELEASE_SECONDS if left else None)
        return Done(requeue_after=min((seconds for seconds in waits if seconds is not None), default=None))

    async def _read(self, key: Key) -> FastAPIService | None:
        """The service; one that is being deleted is as good as gone."""
        try:
            manifest = await self.book.cluster.get("FastAPIService", key.namespace, key.name)
        except NotFound:
            return None
        service = FastAPIService.model_validate(manifest)
        return None if service.metadata.deletion_timestamp else service

    async def _children(self, service: FastAPIService) -> list[Manifest]:
        """Everything that this very object owns."""
        cluster, meta = self.book.cluster, service.metadata
        mine = {SERVICE_UID: meta.uid}
        lists = await asyncio.gather(
            *(cluster.list(kind, namespace=meta.namespace, labels=mine) for kind in _CHILDREN),
            cluster.list("PriorityClass", labels=mine),
        )
        return [child for found in lists for child in found]

    def _observed(self, service: FastAPIService, children: Iterable[Manifest], pods: Iterable[PodView]) -> Observed:
        """All that a decision about ``service`` rests on, but for the budget, which is read under its lock."""
        budget = "/".join(service.budget_key)
        return Observed(
            service=service,
            budget=None,
            children={(child["kind"], child["metadata"]["name"]): child for child in children},
            pods=tuple(pod for pod in pods if pod.uid == service.metadata.uid and pod.budget == budget),
            now=self.book.clock(),
        )

    async def _settle_claim(self, observed: Observed) -> tuple[Observed, Decision, Connections]:
        """Decides with the budget as it is now, and writes the claim before anything that needs it is applied."""
        uid = observed.service.metadata.uid
        try:
            async with self.book.opened(observed.service.budget_key) as page:
                observed = replace(observed, budget=page.budget)
                decision = decide(observed)
                ledger = ledger_of(page.budget, now=observed.now)
                if decision.claim is not None:
                    ledger = ledger.with_claim(decision.claim)
                    await self.book.write_ledger(page, ledger)
                return observed, decision, ledger.held_by(uid)
        except NotFound:
            return observed, decide(observed), NONE

    async def _release(self, key: Key, *, service: FastAPIService | None, pods: tuple[PodView, ...]) -> bool:
        """Lets claims and PriorityClasses follow the pods of objects that are no more; whether some are still there."""
        cluster, left = self.book.cluster, False
        for manifest in await cluster.list("ConnectionBudget"):
            budget = ConnectionBudget.model_validate(manifest)
            where = budget.metadata.namespace, budget.metadata.name
            current = service.metadata.uid if service is not None and service.budget_key == where else None
            claims = ledger_of(budget, now=self.book.clock()).claims
            if stale(claims, namespace=key.namespace, name=key.name, current_uid=current):
                left |= await self._follow_pods(where, key, current_uid=current, pods=pods)
        uid = service.metadata.uid if service is not None else None
        classes = await cluster.list("PriorityClass", labels={SERVICE_NAMESPACE: key.namespace, SERVICE: key.name})
        for name in orphans(classes, current_uid=uid, pods=pods):
            await cluster.delete("PriorityClass", "", name)
        return left

    async def _follow_pods(self, where: Where, key: Key, *, current_uid: str | None, pods: tuple[PodView, ...]) -> bool:
        cluster = self.book.cluster
        workloads = [
            workload
            for kind in _MAKERS
            for workload in await cluster.list(kind, namespace=key.namespace, labels={SERVICE: key.name})
        ]
        async with self.book.opened(where) as page:
            ledger = released(
                ledger_of(page.budget, now=self.book.clock()),
                budget="/".join(where),
                namespace=key.namespace,
                name=key.name,
                current_uid=current_uid,
                pods=pods,
                makers=makers(workloads, budget="/".join(where)),
            )
            await self.book.write_ledger(page, ledger)
        return bool(stale(ledger.claims, namespace=key.namespace, name=key.name, current_uid=current_uid))


def _log_transition(service: FastAPIService, status: FastAPIServiceStatus) -> None:
    ready = next(each for each in status.conditions if each.type == ConditionType.READY.value)
    if ready.reason not in {each.reason for each in service.status.conditions if each.type == ready.type}:
        log.info("service changed", reason=ready.reason, message=ready.message)
