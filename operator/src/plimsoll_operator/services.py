"""Reconciles a FastAPIService: read everything → the core decides → claim, children, status, in this order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.conditions import WAITS_FOR_ROOM, ConditionType
from plimsoll.decide import after_refusal, decide, ledger_of
from plimsoll.errors import Forbidden, NotFound, Terminal
from plimsoll.observed import Observed, makers, running
from plimsoll.release import orphans, released, stale, strays
from plimsoll.render.names import SERVICE, SERVICE_NAMESPACE, SERVICE_UID
from plimsoll.report import report
from plimsoll.units import NONE, Connections

from plimsoll_operator.queue import Done

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIServiceStatus
    from plimsoll.api.meta import Manifest
    from plimsoll.decide import Decision
    from plimsoll.observed import MakerView, PodView

    from plimsoll_operator.book import Book, Where
    from plimsoll_operator.queue import Key

log = structlog.get_logger(__name__)

_CHILDREN: Final = ("Deployment", "Service", "ResourceQuota", "Job")
_MAKERS: Final = frozenset({"Deployment", "ReplicaSet", "Job"})
_GUARDS: Final = frozenset({"ResourceQuota", "PriorityClass"})

_RELEASE_SECONDS: Final = 2.0
"""How soon to look again at pods that outlive their service: nothing wakes the operator when the last one is gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """All that carries a service's name, whichever object of that name it belongs to."""

    objects: tuple[Manifest, ...]
    makers: tuple[MakerView, ...]
    pods: tuple[PodView, ...]


@dataclass(frozen=True, slots=True)
class Services:
    """The reconciler of services."""

    book: Book

    async def reconcile(self, key: Key) -> Done:
        """One look at one service."""
        cluster = self.book.cluster
        service = await self._read(key)
        around = await self._look_around(key)
        left = await self._release(key, service=service, around=around)
        if service is None:
            return Done(requeue_after=_RELEASE_SECONDS if left else None)
        observed, decision, held = await self._settle_claim(self._observed(service, around))
        applied: list[Manifest] = []
        refusal: Terminal | Forbidden | None = None
        try:
            for manifest in decision.apply:
                applied.append(await cluster.apply(manifest))  # noqa: PERF401 - what was applied counts if one fails
            for kind, name in decision.delete:
                await cluster.delete(kind, key.namespace, name)
        except (Terminal, Forbidden) as error:
            decision, refusal = after_refusal(decision, error), error
        status = report(observed.with_children(applied), decision, held=held)
        if status != service.status:
            wire = status.model_dump(by_alias=True, exclude_none=True, mode="json")
            await cluster.merge_status(service.metadata, "FastAPIService", wire)
            _log_transition(service, status)
        if any(finding.reason in WAITS_FOR_ROOM for finding in decision.findings):
            self.book.wait(service.budget_key, key)
        if refusal is not None:
            raise refusal
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

    async def _look_around(self, key: Key) -> Surroundings:
        """What there is, in the order in which it comes about.

        Guards and Deployments, then ReplicaSets, then pods: what the earlier ones have let through or made by the time
        that they were seen is then among the later ones.
        """
        cluster, named = self.book.cluster, {SERVICE: key.name}
        lists = await asyncio.gather(
            *(cluster.list(kind, namespace=key.namespace, labels=named) for kind in _CHILDREN),
            cluster.list("PriorityClass", labels={SERVICE_NAMESPACE: key.namespace, **named}),
        )
        objects = [each for found in lists for each in found]
        objects += await cluster.list("ReplicaSet", namespace=key.namespace, labels=named)
        pods = await cluster.list("Pod", namespace=key.namespace, labels=named)
        return Surroundings(
            objects=tuple(objects),
            makers=makers(each for each in objects if each["kind"] in _MAKERS),
            pods=running(pods),
        )

    def _observed(self, service: FastAPIService, around: Surroundings) -> Observed:
        """All that a decision about ``service`` rests on, but for the budget, which is read under its lock."""
        uid, budget = service.metadata.uid, "/".join(service.budget_key)
        return Observed(
            service=service,
            budget=None,
            children={
                (each["kind"], each["metadata"]["name"]): each
                for each in around.objects
                if each["kind"] != "ReplicaSet" and each["metadata"]["labels"].get(SERVICE_UID) == uid
            },
            pods=tuple(pod for pod in around.pods if (pod.uid, pod.budget) == (uid, budget)),
            makers=tuple(maker for maker in around.makers if (maker.uid, maker.budget) == (uid, budget)),
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
            plan = observed.service.status.plan  # what was granted is remembered: the ledger may be rebuilt from it
            return observed, decide(observed), Connections(plan.granted) if plan else NONE

    async def _release(self, key: Key, *, service: FastAPIService | None, around: Surroundings) -> bool:
        """Lets claims and guards of objects that are no more follow their pods; whether some are still there."""
        cluster, left = self.book.cluster, False
        for manifest in await cluster.list("ConnectionBudget"):
            budget = ConnectionBudget.model_validate(manifest)
            where = budget.metadata.namespace, budget.metadata.name
            current = service.metadata.uid if service is not None and service.budget_key == where else None
            claims = ledger_of(budget, now=self.book.clock()).claims
            if stale(claims, namespace=key.namespace, name=key.name, current_uid=current):
                left |= await self._follow_pods(where, key, current_uid=current, around=around)
        guards = strays(
            (each for each in around.objects if each["kind"] in _GUARDS),
            current_uid=service.metadata.uid if service is not None else None,
        )
        gone = orphans(guards, pods=around.pods, makers=around.makers)
        for each in gone:
            await cluster.delete(each["kind"], key.namespace, each["metadata"]["name"])
        return left or len(gone) < len(guards)

    async def _follow_pods(self, where: Where, key: Key, *, current_uid: str | None, around: Surroundings) -> bool:
        async with self.book.opened(where) as page:
            ledger = released(
                ledger_of(page.budget, now=self.book.clock()),
                budget="/".join(where),
                namespace=key.namespace,
                name=key.name,
                current_uid=current_uid,
                pods=around.pods,
                makers=around.makers,
            )
            await self.book.write_ledger(page, ledger)
        return bool(stale(ledger.claims, namespace=key.namespace, name=key.name, current_uid=current_uid))


def _log_transition(service: FastAPIService, status: FastAPIServiceStatus) -> None:
    ready = next(each for each in status.conditions if each.type == ConditionType.READY.value)
    if ready.reason not in {each.reason for each in service.status.conditions if each.type == ready.type}:
        log.info("service changed", reason=ready.reason, message=ready.message)
