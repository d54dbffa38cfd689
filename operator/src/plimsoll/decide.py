"""The decision about one service: what its claim is, which children to apply, which to delete, what to wait for.

The heart of the flow, pure: ``Observed`` → ``Decision``. The shell writes the claim first, then applies, then deletes,
then reports (``report.py``). Called again and again with whatever the world looks like; it never asks what happened
before.

    no budget, or not for this namespace     → say so, touch nothing
    does not fit                             → say so with the arithmetic; what runs keeps running
    fits at the end, but not beside old pods → shrink first, wait, grow later
    fits → guard → migration → workloads
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from plimsoll.budget.demand import Demand, WorkloadDemand, demand
from plimsoll.budget.ledger import Claim, Grant, Ledger
from plimsoll.conditions import ConditionType, Finding, Progress, Reason, summary
from plimsoll.explain import over_budget
from plimsoll.overlap import guard_in_force, is_settled, part_of, transition
from plimsoll.render import deployment, guard, migration
from plimsoll.render.names import COMPONENT, SERVICE_UID, component
from plimsoll.render.service import service as render_service
from plimsoll.render.stamp import is_current, stamped
from plimsoll.units import Connections

if TYPE_CHECKING:
    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest
    from plimsoll.observed import Observed

UNSETTLED_SECONDS = 2.0
"""How soon to look again while pods come or go: nothing wakes the operator when the last terminating pod is gone."""

Ref = tuple[str, str]
"""Kind and name of a child."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What to write, in this order: claim, apply, delete, status.

    Attributes:
        claim: what the service holds from now on; ``None`` leaves the ledger alone.
        apply: children to apply, in order.
        delete: children to delete, in order.
        findings: what is to be said whatever becomes of the children; empty where the workloads speak for themselves.
        requeue_after: seconds after which to look again though nothing woke the operator.
    """

    claim: Claim | None = None
    apply: tuple[Manifest, ...] = ()
    delete: tuple[Ref, ...] = ()
    findings: tuple[Finding, ...] = ()
    requeue_after: float | None = None


def ledger_of(budget: ConnectionBudget, *, now: str) -> Ledger:
    """The budget's claims, with its capacity where the last reading still counts."""
    status = budget.status
    fresh = status.server is not None and datetime.fromisoformat(now) - datetime.fromisoformat(
        status.server.observed_time
    ) <= timedelta(seconds=budget.spec.stale_after_seconds)
    return Ledger(
        usable=Connections(status.usable) if fresh and status.usable is not None else None,
        claims=tuple(
            Claim(
                namespace=claim.namespace,
                name=claim.name,
                uid=claim.uid,
                connections=Connections(claim.connections),
                arithmetic=claim.arithmetic,
            )
            for claim in status.claims
        ),
    )


def decide(observed: Observed) -> Decision:
    """Decides about one service; see the module's docstring."""
    service, budget = observed.service, observed.budget
    name = "/".join(service.budget_key)
    if budget is None:
        return Decision(
            findings=_waits(
                Reason.BUDGET_NOT_FOUND,
                f"There is no ConnectionBudget {name}; create it, or correct database.budgetRef.",
            )
        )
    if not budget.admits(service.metadata.namespace):
        message = (
            f"Budget {name} does not allow services of namespace {service.metadata.namespace};"
            " its owner can set allowedNamespaces.from to All."
        )
        return Decision(findings=_stalls(Reason.NAMESPACE_NOT_ALLOWED, message))

    wanted = demand(service.spec)
    ledger = ledger_of(budget, now=observed.now)
    grant = ledger.grant(
        uid=service.metadata.uid,
        wanted=transition(observed, wanted),
        live=observed.live(),
        settled=is_settled(observed, wanted),
    )
    claim = _claim(service, wanted=wanted, grant=grant)
    if grant.admitted:
        return _roll_out(observed, wanted=wanted, claim=claim)
    if ledger.usable is None:
        reading = next(
            (each.message for each in budget.status.conditions if each.type == ConditionType.READY.value),
            "it was never read.",
        )
        message = (
            f"Needs {wanted.connections} connections, and budget {name} has no valid reading of its server: {reading}"
        )
        return Decision(
            claim=claim, findings=_waits(Reason.WAITING_FOR_BUDGET, message), requeue_after=UNSETTLED_SECONDS * 5
        )
    if wanted.connections > grant.free:
        message = over_budget(spec=service.spec, budget=name, ledger=ledger, room=grant.free)
        return Decision(
            claim=claim, findings=_stalls(Reason.OVER_BUDGET, message), requeue_after=UNSETTLED_SECONDS * 15
        )
    return _shrink_first(observed, wanted=wanted, claim=claim)


def _claim(service: FastAPIService, *, wanted: Demand, grant: Grant) -> Claim:
    meta = service.metadata
    arithmetic = (
        str(wanted)
        if grant.hold == wanted.connections
        else f"held while pods change or wait; the spec asks for {wanted}"
    )
    return Claim(
        namespace=meta.namespace, name=meta.name, uid=meta.uid, connections=grant.hold, arithmetic=arithmetic[:1024]
    )


def _roll_out(observed: Observed, *, wanted: Demand, claim: Claim) -> Decision:
    service = observed.service
    guards = [manifest for workload in wanted.workloads for manifest in _guards(observed, workload)]
    front = [render_service(service)]
    if migrations := service.spec.migrations:
        held = _migration(observed, claim=claim, before=_outdated(observed, [*guards, *front]))
        if held is not None:
            return held
        keep = {("Job", migration.job_name(service, migrations))}
    else:
        keep = set()
    if not all(guard_in_force(observed, workload) for workload in wanted.workloads):
        message = "Waits until the API server enforces the ResourceQuotas that keep the pods within the claim."
        return Decision(
            claim=claim,
            apply=_outdated(observed, [*guards, *front]),
            findings=_waits(Reason.WAITING_FOR_GUARD, message),
            requeue_after=UNSETTLED_SECONDS / 2,
        )
    workloads = [deployment.web(service), *(deployment.jobs(service, group) for group in service.spec.jobs)]
    manifests = [*guards, *front, *workloads]
    apply = _outdated(observed, manifests)
    keep |= {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}
    settled = is_settled(observed, wanted) and not apply
    return Decision(
        claim=claim,
        apply=apply,
        delete=_leftovers(observed, keep=keep),
        requeue_after=None if settled else UNSETTLED_SECONDS,
    )


def _shrink_first(observed: Observed, *, wanted: Demand, claim: Claim) -> Decision:
    """The spec fits, but not beside the pods that are to go: lower what shrinks, and wait with what grows."""
    service = observed.service
    by_part = {component(None): deployment.web(service)}
    by_part |= {component(group.name): deployment.jobs(service, group) for group in service.spec.jobs}
    shrinking = [workload for workload in wanted.workloads if workload.connections <= observed.live(part_of(workload))]
    manifests = [
        manifest for workload in shrinking for manifest in (*_guards(observed, workload), by_part[part_of(workload)])
    ]
    keep = {("Deployment", manifest["metadata"]["name"]) for manifest in by_part.values()}
    gone = tuple(ref for ref in _leftovers(observed, keep=keep) if ref[0] == "Deployment")
    message = f"Needs {wanted.connections} connections, which fit once the pods that are to go have gone."
    return Decision(
        claim=claim,
        apply=_outdated(observed, manifests),
        delete=gone,
        findings=_waits(Reason.WAITING_FOR_BUDGET, message),
        requeue_after=UNSETTLED_SECONDS,
    )


def _guards(observed: Observed, workload: WorkloadDemand) -> tuple[Manifest, Manifest]:
    part = part_of(workload)
    return guard.priority_class(observed.service, part), guard.quota(observed.service, part, pods=workload.pods)


def _migration(observed: Observed, *, claim: Claim, before: tuple[Manifest, ...]) -> Decision | None:
    """What to do while the migration of this image is not done; ``None`` when it is."""
    service = observed.service
    migrations = service.spec.migrations
    if migrations is None:
        return None
    name = migration.job_name(service, migrations)
    job = observed.children.get(("Job", name))
    if job is None and observed.live(migration.PART):
        superseded = tuple(sorted(ref for ref in observed.children if ref[0] == "Job"))
        message = "Waits until the migration of an earlier image has stopped: two never run at once."
        return Decision(
            claim=claim,
            apply=before,
            delete=superseded,
            findings=_waits(Reason.MIGRATING, message),
            requeue_after=UNSETTLED_SECONDS,
        )
    if job is None:
        # Never applied again: a Job's template is immutable, and one run per image is what is wanted.
        manifest = stamped(migration.job(service, migrations))
        return Decision(
            claim=claim,
            apply=(*before, manifest),
            findings=_waits(
                Reason.MIGRATING, f"Job {name} migrates the database before the pods of this image roll out."
            ),
            requeue_after=UNSETTLED_SECONDS,
        )
    done = {each["type"] for each in job.get("status", {}).get("conditions", []) if each.get("status") == "True"}
    if "Complete" in done:
        return None
    if "Failed" in done:
        message = (
            f"Job {name} failed, so nothing of this image was rolled out; what ran before runs on. Its log:"
            f" kubectl -n {service.metadata.namespace} logs job/{name}. A new image is tried by itself;"
            " to try this one again, delete the Job."
        )
        finding = Finding(
            type=ConditionType.MIGRATIONS_APPLIED, status=False, reason=Reason.MIGRATION_FAILED, message=message
        )
        return Decision(claim=claim, apply=before, findings=(*_stalls(Reason.MIGRATION_FAILED, message), finding))
    return Decision(
        claim=claim,
        apply=before,
        findings=_waits(Reason.MIGRATING, f"Job {name} migrates the database before the pods of this image roll out."),
        requeue_after=UNSETTLED_SECONDS,
    )


def _outdated(observed: Observed, manifests: list[Manifest]) -> tuple[Manifest, ...]:
    wanted = [stamped(manifest) for manifest in manifests]
    return tuple(
        each
        for each in wanted
        if not is_current(live=observed.children.get((each["kind"], each["metadata"]["name"])), wanted=each)
    )


def _leftovers(observed: Observed, *, keep: set[Ref]) -> tuple[Ref, ...]:
    """Children that the spec no longer names. A guard stays until the last pod behind it is gone."""
    guarded = {pod.part for pod in observed.pods}
    busy = {guard.quota_name(observed.service, part) for part in guarded}
    busy |= {guard.priority_class_name(observed.service, part) for part in guarded}
    owned = [
        (kind, name)
        for (kind, name), child in observed.children.items()
        if child["metadata"].get("labels", {}).get(SERVICE_UID) == observed.service.metadata.uid
        and (kind in {"PriorityClass", "Job"} or COMPONENT in child["metadata"].get("labels", {}))
    ]
    return tuple(sorted(ref for ref in owned if ref not in keep and not (ref[0] != "Deployment" and ref[1] in busy)))


def _waits(reason: Reason, message: str) -> tuple[Finding, ...]:
    return summary(progress=Progress.UNDER_WAY, reason=reason, message=message)


def _stalls(reason: Reason, message: str) -> tuple[Finding, ...]:
    return summary(progress=Progress.STALLED, reason=reason, message=message)
