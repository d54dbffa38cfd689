"""Reconciles a FastAPIService: read everything → the core decides → claims, children, status, in this order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog
from plimsoll.accounts import ledger_of, ledgers_of
from plimsoll.api.fastapiservice import FastAPIService, WhenOver
from plimsoll.budget.demand import Overlap
from plimsoll.conditions import WAITS_FOR_ROOM, ConditionType, Reason
from plimsoll.configuration import Reading, Sight, sources
from plimsoll.decide import after_refusal, decide
from plimsoll.errors import Forbidden, NotFound, PlimsollError, Terminal
from plimsoll.observed import Observed
from plimsoll.release import orphans, released, stale, strays
from plimsoll.render.event import event
from plimsoll.render.names import SERVICE_UID
from plimsoll.report import report
from plimsoll.units import Connections

from plimsoll_operator.queue import Done
from plimsoll_operator.surroundings import look_around

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIServiceStatus
    from plimsoll.api.meta import BudgetKey, Manifest
    from plimsoll.configuration import Source
    from plimsoll.decide import Decision

    from plimsoll_operator.book import Book
    from plimsoll_operator.queue import Key
    from plimsoll_operator.surroundings import Surroundings

log = structlog.get_logger(__name__)

_GUARDS: Final = frozenset({"ResourceQuota", "PriorityClass"})

_RELEASE_SECONDS: Final = 2.0
"""How soon to look again at pods that outlive their service: nothing wakes the operator when the last one is gone."""

_ROTATION_SECONDS: Final = 60.0
"""How soon to look again at Secrets and ConfigMaps: a watch would take rights on all of a namespace (ADR 11)."""

_TOLD: Final = {
    ConditionType.READY.value: "",
    ConditionType.WITHIN_DECLARED.value: Reason.DECLARED.value,
    ConditionType.CONFIG_TRACKED.value: Reason.TRACKED.value,
}
"""The conditions that events tell of, and the reason that is no news when it is the first."""


@dataclass(frozen=True, slots=True)
class Services:
    """The reconciler of services."""

    book: Book
    overlap: Overlap = Overlap.GUARDED
    account: str = ""
    """The operator's own identity, for the command that grants it a right it lacks."""

    async def reconcile(self, key: Key) -> Done:
        """One look at one service."""
        cluster = self.book.cluster
        service = await self._read(key)
        around = await look_around(cluster, key, overlap=self.overlap)
        left = await self._release(key, service=service, around=around)
        if service is None:
            return Done(requeue_after=_RELEASE_SECONDS if left else None)
        observed, decision, held = await self._settle_claims(await self._observed(service, around))
        applied: list[Manifest] = []
        refusal: Terminal | Forbidden | None = None
        try:
            for manifest in decision.step.apply:
                applied.append(await cluster.apply(manifest))  # noqa: PERF401 - what was applied counts if one fails
            for manifest in decision.step.overwrite:
                applied.append(await cluster.overwrite(manifest))  # noqa: PERF401 - likewise
            for kind, name in decision.step.delete:
                await cluster.delete(kind, key.namespace, name)
        except (Terminal, Forbidden) as error:
            decision, refusal = after_refusal(decision, error), error
        status = report(observed.with_children(applied), decision, held=held)
        if status != service.status:
            wire = status.model_dump(by_alias=True, exclude_none=True, mode="json")
            await cluster.merge_status(service.metadata, "FastAPIService", wire)
            await self._tell(service, status)
        if any(finding.reason in WAITS_FOR_ROOM for finding in decision.findings) or _may_shrink(decision):
            for budget in observed.budget_keys:
                self.book.wait(budget, key)
        if refusal is not None:
            raise refusal
        seen = any(each.sight is Sight.SEEN for each in observed.readings)
        waits = (
            decision.requeue_after,
            5 * _RELEASE_SECONDS if left else None,
            _ROTATION_SECONDS if seen else None,
        )
        return Done(requeue_after=min((seconds for seconds in waits if seconds is not None), default=None))

    async def _read(self, key: Key) -> FastAPIService | None:
        """The service; one that is being deleted is as good as gone."""
        try:
            manifest = await self.book.cluster.get("FastAPIService", key.namespace, key.name)
        except NotFound:
            return None
        service = FastAPIService.model_validate(manifest)
        return None if service.metadata.deletion_timestamp else service

    async def _observed(self, service: FastAPIService, around: Surroundings) -> Observed:
        """All that a decision about ``service`` rests on, but for the budgets, which are read under their lock."""
        uid, namespace = service.metadata.uid, service.metadata.namespace
        labels: dict[str, str] = {}
        if any(key.namespace != namespace for key in service.budget_keys):
            try:
                labels = (await self.book.cluster.get("Namespace", "", namespace))["metadata"].get("labels", {})
            except Forbidden:  # an operator of some namespaces may not look; this label every namespace has
                labels = {"kubernetes.io/metadata.name": namespace}
        return Observed(
            service=service,
            namespace_labels=labels,
            overlap=self.overlap,
            children={
                (each["kind"], each["metadata"]["name"]): each
                for each in around.objects
                if each["kind"] != "ReplicaSet" and each["metadata"]["labels"].get(SERVICE_UID) == uid
            },
            pods=tuple(pod for pod in around.pods if pod.uid == uid),
            makers=tuple(maker for maker in around.makers if maker.uid == uid),
            templates=around.templates,
            last_words=around.last_words,
            readings=tuple(await asyncio.gather(*(self._reading(namespace, each) for each in sources(service)))),
            account=self.account,
            now=self.book.clock(),
        )

    async def _reading(self, namespace: str, source: Source) -> Reading:
        """What may be seen of a Secret or ConfigMap; who granted nothing loses nothing but the rotation."""
        try:
            return Reading.of(source, await self.book.cluster.get_metadata(source.kind, namespace, source.name))
        except NotFound:
            return Reading(source=source, sight=Sight.MISSING)
        except Forbidden:
            return Reading(source=source, sight=Sight.NOT_GRANTED)

    async def _settle_claims(self, observed: Observed) -> tuple[Observed, Decision, dict[BudgetKey, Connections]]:
        """Decides with the budgets as they are now, and writes the claims before anything that needs them."""
        service = observed.service
        async with self.book.opened() as pages:
            observed = replace(observed, budgets=tuple(page.budget for page in pages.values()))
            decision = decide(observed)
            held = {}
            for key in observed.budget_keys:
                if key not in pages:
                    continue
                ledger = ledgers_of(observed.budgets, now=observed.now)[key]
                if pages[key].budget.status.server is None:  # its ledger is not rebuilt yet: nothing is known of it
                    continue
                if claim := decision.claims.get(key):
                    ledger = ledger.with_claim(claim)
                    await self.book.write_ledger(pages[key], ledger)
                if key in service.budget_keys:
                    held[key] = ledger.held_by(service.metadata.uid)
        if not held and service.status.plan:  # what was granted is remembered: the ledger may be rebuilt from it
            held = {service.budget_key: Connections(service.status.plan.granted)}
        return observed, decision, held

    async def _release(self, key: Key, *, service: FastAPIService | None, around: Surroundings) -> bool:
        """Lets claims and guards of objects that are no more follow their pods; whether some are still there.

        The claim of a service that is there, in a budget that it has left but still connects to, is written with its
        others (``_settle_claims``): two that write it would undo each other's work at every look.
        """
        cluster, left = self.book.cluster, False
        uid = service.metadata.uid if service is not None else None
        keys = set(service.budget_keys) if service is not None else set()
        connects = around.budgets_of(uid)
        async with self.book.opened() as pages:
            for where, page in pages.items():
                current = uid if where in keys | connects else None
                left |= where in connects - keys
                ledger = ledger_of(page.budget, now=self.book.clock(), others=page.others)
                if not stale(ledger.claims, namespace=key.namespace, name=key.name, current_uid=current):
                    continue
                ledger = released(
                    ledger,
                    budget=where,
                    namespace=key.namespace,
                    name=key.name,
                    current_uid=current,
                    pods=around.pods,
                    makers=around.makers,
                    usage=page.budget.status.usage,
                )
                await self.book.write_ledger(page, ledger)
                left |= bool(stale(ledger.claims, namespace=key.namespace, name=key.name, current_uid=current))
        guards = strays(
            (each for each in around.objects if each["kind"] in _GUARDS),
            current_uid=uid,
        )
        gone = orphans(guards, pods=around.pods, makers=around.makers)
        for each in gone:
            await cluster.delete(each["kind"], key.namespace, each["metadata"]["name"])
        return left or len(gone) < len(guards)

    async def _tell(self, service: FastAPIService, status: FastAPIServiceStatus) -> None:
        """Logs what has changed about the service, and puts it where ``kubectl describe`` shows it."""
        before = {each.type: each.reason for each in service.status.conditions}
        for each in status.conditions:
            if each.type not in _TOLD or before.get(each.type, _TOLD[each.type]) == each.reason:
                continue
            log.info("service changed", condition=each.type, reason=each.reason, message=each.message)
            try:
                await self.book.cluster.create(event(service, each, now=self.book.clock()))
            except PlimsollError as error:
                log.warning("event was not written", error=str(error))


def _may_shrink(decision: Decision) -> bool:
    """Whether the service may have a smaller pool than it would have if there were room."""
    return decision.service.spec.when_over is WhenOver.SHRINK_POOL
