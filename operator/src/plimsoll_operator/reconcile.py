"""Reconciles one object: read everything, let the core decide, write everything.

The queue calls ``Reconciler.reconcile`` with a key. What a key's last run did is not remembered anywhere; only which
services wait for room in which budget is, so that they are woken when some is freed (a restart wakes everyone anyway).

A budget's ledger has one writer at a time: every read-decide-write of its status happens under the budget's lock, and
is guarded by the resourceVersion besides, for the case of a second operator.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from plimsoll import budget_report
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.conditions import ConditionType, Reason
from plimsoll.decide import Decision, decide, ledger_of
from plimsoll.errors import Forbidden, NotFound, ProbeFailed
from plimsoll.observed import Observed, PodView
from plimsoll.release import orphans, released
from plimsoll.render.names import SERVICE, SERVICE_NAMESPACE, SERVICE_UID
from plimsoll.report import report
from plimsoll.units import NONE, Connections

from plimsoll_operator import metrics
from plimsoll_operator.probe import probe
from plimsoll_operator.queue import Done, Key, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from plimsoll.api.connectionbudget import ClaimStatus, ConnectionBudgetStatus
    from plimsoll.api.fastapiservice import FastAPIServiceStatus
    from plimsoll.api.meta import Manifest
    from plimsoll.budget.capacity import ServerFacts
    from plimsoll.budget.ledger import Claim, Ledger

    from plimsoll_operator.cluster import Cluster
    from plimsoll_operator.settings import Settings

log = structlog.get_logger(__name__)

_CHILDREN = ("Deployment", "Service", "ResourceQuota", "Job")
_RELEASE_SECONDS = 2.0


def utc_now() -> str:
    """The time as Kubernetes writes it, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class Reconciler:
    """The orchestration around the core.

    Attributes:
        cluster: the Kubernetes API.
        settings: the operator's settings.
        wake: puts a key into the queue.
        clock: the time, as Kubernetes writes it.
    """

    cluster: Cluster
    settings: Settings
    wake: Callable[[Key], None]
    clock: Callable[[], str] = utc_now
    _locks: defaultdict[tuple[str, str], asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _waiting: defaultdict[tuple[str, str], set[Key]] = field(default_factory=lambda: defaultdict(set))

    async def reconcile(self, key: Key) -> Done:
        """One look at one object."""
        with structlog.contextvars.bound_contextvars(kind=key.kind.value, resource=f"{key.namespace}/{key.name}"):
            with metrics.RECONCILE_SECONDS.labels(key.kind.value).time():
                try:
                    done = await (self._budget(key) if key.kind is Kind.BUDGET else self._service(key))
                except Exception:
                    metrics.RECONCILES.labels(key.kind.value, "failed").inc()
                    raise
            metrics.RECONCILES.labels(key.kind.value, "done").inc()
            return done

    async def resync(self) -> None:
        """Wakes every object there is."""
        for kind in Kind:
            for manifest in await self.cluster.list(kind.value):
                self.wake(Key(kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"]))

    # ---- budgets

    async def _budget(self, key: Key) -> Done:
        try:
            manifest = await self.cluster.get("ConnectionBudget", key.namespace, key.name)
        except NotFound:
            self._wake_waiting((key.namespace, key.name))
            return Done()
        budget = ConnectionBudget.model_validate(manifest)
        reading = await self._read_server(budget)
        async with self._locks[key.namespace, key.name]:
            manifest = await self.cluster.get("ConnectionBudget", key.namespace, key.name)
            budget = ConnectionBudget.model_validate(manifest)
            if isinstance(reading, str):
                status = budget_report.without_secret(budget, reading, now=self.clock())
            else:
                status = budget_report.after_reading(budget, reading, now=self.clock())
            await self._write_budget(manifest, budget, status)
        return Done(requeue_after=float(budget.spec.probe_interval_seconds))

    async def _read_server(self, budget: ConnectionBudget) -> ServerFacts | ProbeFailed | str:
        """The server's limits, why it did not tell them, or (as a sentence) why its URI could not be had."""
        meta, ref = budget.metadata, budget.spec.secret_ref
        try:
            secret = await self.cluster.get("Secret", meta.namespace, ref.name)
            uri = base64.b64decode(secret.get("data", {})[ref.key], validate=True).decode().strip()
        except NotFound:
            return f"There is no Secret {ref.name} in namespace {meta.namespace}; create it, or correct secretRef.name."
        except KeyError:
            return f"Secret {ref.name} has no key {ref.key}; add it, or correct secretRef.key."
        except (binascii.Error, UnicodeDecodeError):
            return f"Key {ref.key} of Secret {ref.name} is not text."
        except Forbidden:
            account = self.settings.service_account
            return (
                f"The operator may not read Secret {ref.name}. Grant it this one:"
                f" kubectl -n {meta.namespace} create role plimsoll-{ref.name} --verb=get --resource=secrets"
                f" --resource-name={ref.name} && kubectl -n {meta.namespace} create rolebinding plimsoll-{ref.name}"
                f" --role=plimsoll-{ref.name} --serviceaccount={account.removeprefix('system:serviceaccount:')}"
            )
        try:
            return await probe(uri, connect_timeout_seconds=self.settings.connect_timeout_seconds)
        except ProbeFailed as failure:
            return failure

    async def _write_budget(self, manifest: Manifest, before: ConnectionBudget, status: ConnectionBudgetStatus) -> None:
        """Writes a budget's status if it says anything new; the caller holds the budget's lock."""
        where = before.metadata.namespace, before.metadata.name
        for gauge, value in (
            (metrics.USABLE, status.usable),
            (metrics.CLAIMED, status.claimed),
            (metrics.LIVE, status.live),
        ):
            gauge.labels(*where).set(value or 0)
        if status == before.status:
            return
        wire = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        await self.cluster.replace_status({**manifest, "status": wire})
        if (status.usable, status.claims, _ready(status)) != (
            before.status.usable,
            before.status.claims,
            _ready(before.status),
        ):
            self._wake_waiting(where)

    def _wake_waiting(self, budget: tuple[str, str]) -> None:
        for key in self._waiting.pop(budget, set()):
            self.wake(key)

    # ---- services

    async def _service(self, key: Key) -> Done:
        try:
            service = FastAPIService.model_validate(await self.cluster.get("FastAPIService", key.namespace, key.name))
        except NotFound:
            service = None
        if service is not None and service.metadata.deletion_timestamp is not None:
            service = None
        pods = await self._pods(key)
        left = await self._release(key, service=service, pods=pods)
        if service is None:
            return Done(requeue_after=_RELEASE_SECONDS if left else None)
        observed = await self._observe(service, pods)
        decision, observed, held = await self._settle_claim(observed)
        applied = [await self.cluster.apply(manifest) for manifest in decision.apply]
        for kind, name in decision.delete:
            await self.cluster.delete(kind, key.namespace, name)
        status = report(observed.with_children(applied), decision, held=held)
        if status != service.status:
            wire = status.model_dump(by_alias=True, exclude_none=True, mode="json")
            await self.cluster.merge_status("FastAPIService", key.namespace, key.name, wire)
            _log_transition(service, status)
        self._note_waiting(key, observed, decision)
        waits = [
            seconds for seconds in (decision.requeue_after, _RELEASE_SECONDS if left else None) if seconds is not None
        ]
        return Done(requeue_after=min(waits, default=None))

    async def _pods(self, key: Key) -> tuple[PodView, ...]:
        """Every pod under the service's name that still runs, whichever object made it."""
        found = await self.cluster.list("Pod", namespace=key.namespace, labels={SERVICE: key.name})
        return tuple(
            PodView.of(pod) for pod in found if pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}
        )

    async def _observe(self, service: FastAPIService, pods: Iterable[PodView]) -> Observed:
        """All that a decision about ``service`` rests on, but for the budget, which is read under its lock."""
        meta = service.metadata
        mine = {SERVICE_UID: meta.uid}
        lists = await asyncio.gather(
            *(self.cluster.list(kind, namespace=meta.namespace, labels=mine) for kind in _CHILDREN),
            self.cluster.list("PriorityClass", labels=mine),
        )
        budget = "/".join(service.budget_key)
        return Observed(
            service=service,
            budget=None,
            children={(child["kind"], child["metadata"]["name"]): child for found in lists for child in found},
            pods=tuple(pod for pod in pods if pod.uid == meta.uid and pod.budget == budget),
            now=self.clock(),
        )

    async def _settle_claim(self, observed: Observed) -> tuple[Decision, Observed, Connections]:
        """Decides with the budget as it is now, and writes the claim before anything that needs it is applied."""
        where = observed.service.budget_key
        async with self._locks[where]:
            try:
                manifest = await self.cluster.get("ConnectionBudget", *where)
            except NotFound:
                decision = decide(observed)
                return decision, observed, NONE
            budget = ConnectionBudget.model_validate(manifest)
            observed = replace(observed, budget=budget)
            decision = decide(observed)
            ledger = ledger_of(budget, now=observed.now)
            uid = observed.service.metadata.uid
            if decision.claim is None:
                return decision, observed, ledger.held_by(uid)
            after = ledger.with_claim(decision.claim)
            await self._write_ledger(manifest, budget, after)
            return decision, observed, after.held_by(uid)

    async def _write_ledger(self, manifest: Manifest, budget: ConnectionBudget, ledger: Ledger) -> None:
        await self._write_budget(manifest, budget, budget_report.with_ledger(budget, ledger, now=self.clock()))

    def _note_waiting(self, key: Key, observed: Observed, decision: Decision) -> None:
        waits = {Reason.OVER_BUDGET, Reason.WAITING_FOR_BUDGET, Reason.BUDGET_NOT_FOUND, Reason.NAMESPACE_NOT_ALLOWED}
        if any(finding.reason in waits for finding in decision.findings):
            self._waiting[observed.service.budget_key].add(key)

    async def _release(self, key: Key, *, service: FastAPIService | None, pods: tuple[PodView, ...]) -> bool:
        """Lets claims and PriorityClasses follow the pods of objects that are no more; whether some are still there."""
        left = False
        for found in await self.cluster.list("ConnectionBudget"):
            budget = ConnectionBudget.model_validate(found)
            where = budget.metadata.namespace, budget.metadata.name
            current = service.metadata.uid if service is not None and service.budget_key == where else None
            if _has_stale_claim(budget, key, current_uid=current):
                left |= await self._follow_pods(where, key, current_uid=current, pods=pods)
        uid = service.metadata.uid if service is not None else None
        classes = await self.cluster.list("PriorityClass", labels={SERVICE_NAMESPACE: key.namespace, SERVICE: key.name})
        for name in orphans(classes, current_uid=uid, pods=pods):
            await self.cluster.delete("PriorityClass", "", name)
        return left

    async def _follow_pods(
        self, where: tuple[str, str], key: Key, *, current_uid: str | None, pods: tuple[PodView, ...]
    ) -> bool:
        async with self._locks[where]:
            manifest = await self.cluster.get("ConnectionBudget", *where)
            budget = ConnectionBudget.model_validate(manifest)
            after = released(
                ledger_of(budget, now=self.clock()),
                budget="/".join(where),
                namespace=key.namespace,
                name=key.name,
                current_uid=current_uid,
                pods=pods,
            )
            await self._write_ledger(manifest, budget, after)
        return any(_is_stale(claim, key, current_uid=current_uid) for claim in after.claims)


def _is_stale(claim: Claim | ClaimStatus, key: Key, *, current_uid: str | None) -> bool:
    return (claim.namespace, claim.name) == (key.namespace, key.name) and claim.uid != current_uid


def _has_stale_claim(budget: ConnectionBudget, key: Key, *, current_uid: str | None) -> bool:
    return any(_is_stale(claim, key, current_uid=current_uid) for claim in budget.status.claims)


def _ready(status: ConnectionBudgetStatus) -> str:
    return next((each.status for each in status.conditions if each.type == ConditionType.READY.value), "")


def _log_transition(service: FastAPIService, status: FastAPIServiceStatus) -> None:
    ready = next(each for each in status.conditions if each.type == ConditionType.READY.value)
    if ready.reason not in {each.reason for each in service.status.conditions if each.type == ready.type}:
        log.info("service changed", reason=ready.reason, message=ready.message)
