"""The decision about one service: what its claim is, which children to apply, which to delete, what to wait for.

The heart of the flow, pure: ``Observed`` → ``Decision``. The shell writes the claim first, then applies, then deletes,
then reports (``report.py``). Called again and again with whatever the world looks like; it never asks what happened
before.

    no budget, or not for this namespace     → say so, touch nothing
    does not fit                             → say so with the arithmetic; what runs keeps running
    fits at the end, but not beside old pods → first what makes room, then the rest
    fits → guard → migration → workloads
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from plimsoll.budget.demand import Demand, WorkloadDemand, demand
from plimsoll.budget.ledger import Claim, Grant, Ledger
from plimsoll.conditions import ConditionType, Finding, Progress, Reason, summary
from plimsoll.errors import Forbidden
from plimsoll.explain import over_budget
from plimsoll.overlap import guard_in_force, halfway, on_the_way, part_of, standing, unguarded
from plimsoll.render import deployment, guard, migration
from plimsoll.render.names import component
from plimsoll.render.service import service as render_service
from plimsoll.render.stamp import is_current, stamped
from plimsoll.units import Connections, total

if TYPE_CHECKING:
    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest
    from plimsoll.errors import Terminal
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
        message = f"There is no ConnectionBudget {name}; create it, or correct database.budgetRef."
        return Decision(findings=_waits(Reason.BUDGET_NOT_FOUND, message), requeue_after=UNSETTLED_SECONDS * 15)
    if not budget.admits(service.metadata.namespace):
        message = (
            f"Budget {name} does not allow services of namespace {service.metadata.namespace};"
            " its owner can set allowedNamespaces.from to All."
        )
        return Decision(findings=_stalls(Reason.NAMESPACE_NOT_ALLOWED, message), requeue_after=UNSETTLED_SECONDS * 15)

    if not all(view.seen for view in observed.deployments()):
        # One step at a time: until the controller knows of the last one, it may still act on the one before.
        return Decision(requeue_after=UNSETTLED_SECONDS)
    return _decide_within(observed, budget)


def _decide_within(observed: Observed, budget: ConnectionBudget) -> Decision:
    service = observed.service
    name = "/".join(service.budget_key)
    wanted = demand(service.spec)
    ledger = ledger_of(budget, now=observed.now)
    grant = _granted(observed, ledger, wanted=on_the_way(observed, wanted))
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
    return _halfway(observed, ledger, wanted=wanted)


def _granted(observed: Observed, ledger: Ledger, *, wanted: Connections) -> Grant:
    uid = observed.service.metadata.uid
    stands = total(standing(observed, part) for part in observed.parts())
    if unguarded(observed):  # no telling how many pods it may come to: at least nothing is given back
        stands = max(stands, ledger.held_by(uid))
    return ledger.grant(uid=uid, wanted=max(wanted, stands), standing=stands)


def after_refusal(decision: Decision, refusal: Terminal | Forbidden) -> Decision:
    """The decision when the API server would not have what it names: only an edit, or a right, can help."""
    reason = Reason.FORBIDDEN if isinstance(refusal, Forbidden) else Reason.INVALID_SPEC
    return replace(decision, findings=_stalls(reason, f"The cluster refuses a part of the service: {refusal}"))


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


def _roll_out(observed: Observed, *, wanted: Demand, claim: Claim, parts: frozenset[str] | None = None) -> Decision:
    """Guards, then the migration, then the workloads: of all ``parts`` of the service, or only of some."""
    service = observed.service
    rolled = [workload for workload in wanted.workloads if parts is None or part_of(workload) in parts]
    guards = [manifest for workload in rolled for manifest in _guards(observed, workload)]
    front = [render_service(service)]
    if service.spec.migrations:
        held = _migration(observed, claim=claim, before=_outdated(observed, [*guards, *front]))
        if held is not None:
            return held
    if not all(guard_in_force(observed, workload) for workload in rolled):
        message = "Waits until the API server enforces the ResourceQuotas that keep the pods within the claim."
        return Decision(
            claim=claim,
            apply=_outdated(observed, [*guards, *front]),
            findings=_waits(Reason.WAITING_FOR_GUARD, message),
            requeue_after=UNSETTLED_SECONDS / 2,
        )
    workloads = [_deployment(service, workload) for workload in rolled]
    apply = _outdated(observed, [*guards, *front, *workloads])
    leftovers = _leftovers(observed, wanted=wanted)
    settled = claim.connections == wanted.connections and not apply and not leftovers
    return Decision(
        claim=claim,
        apply=apply,
        delete=tuple(ref for ref in leftovers if not _is_needed(observed, ref)),
        requeue_after=None if settled else UNSETTLED_SECONDS,
    )


def _halfway(observed: Observed, ledger: Ledger, *, wanted: Demand) -> Decision:
    """The spec fits, but not beside the pods that are to go: first what makes room, then the rest."""
    stone, parts = halfway(observed)
    migrating = wanted.migration.minus(standing(observed, migration.PART))
    stands = total(standing(observed, part) for part in observed.parts())
    grant = _granted(observed, ledger, wanted=stands + migrating)
    claim = _claim(observed.service, wanted=wanted, grant=grant)
    if not grant.admitted:
        message = (
            f"Needs {wanted.connections} connections, which fit, but not beside what runs: {stands} and {migrating} for"
            f" the migration, with {grant.free} free for it. Change the pods first, and add the migration after that."
        )
        # Lower guards never cost anything; a quota that somebody has raised is what `stands` is too large by.
        lower = [workload for workload in demand(stone.spec).workloads if part_of(workload) in parts]
        apply = _outdated(observed, [manifest for workload in lower for manifest in _guards(observed, workload)])
        return Decision(
            claim=claim,
            apply=apply,
            findings=_stalls(Reason.OVER_BUDGET, message),
            requeue_after=UNSETTLED_SECONDS / 2 if apply else UNSETTLED_SECONDS * 15,
        )
    step = _roll_out(replace(observed, service=stone), wanted=demand(stone.spec), claim=claim, parts=parts)
    if step.findings:  # it waits for something of its own
        return step
    message = f"Needs {wanted.connections} connections, which fit once the pods that are to go have gone."
    return replace(step, findings=_waits(Reason.WAITING_FOR_BUDGET, message), requeue_after=UNSETTLED_SECONDS)


def _deployment(service: FastAPIService, workload: WorkloadDemand) -> Manifest:
    group = next((each for each in service.spec.jobs if component(each.name) == part_of(workload)), None)
    return deployment.web(service) if group is None else deployment.jobs(service, group)


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
    if job is None and migration.PART in observed.parts():
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


def _leftovers(observed: Observed, *, wanted: Demand) -> tuple[Ref, ...]:
    """Children that the spec no longer names; of Services there is always exactly one."""
    service = observed.service
    keep = {ref for ref in observed.children if ref[0] == "Service"}
    for workload in wanted.workloads:
        manifests = (*_guards(observed, workload), _deployment(service, workload))
        keep |= {(each["kind"], each["metadata"]["name"]) for each in manifests}
    if service.spec.migrations:
        keep.add(("Job", migration.job_name(service, service.spec.migrations)))
    return tuple(sorted(ref for ref in observed.children if ref not in keep))


def _is_needed(observed: Observed, leftover: Ref) -> bool:
    """Whether it is a guard, and there are pods behind it, or something that could still make some."""
    guards = {guard.quota_name(observed.service, part) for part in observed.parts()}
    return leftover[0] in {"ResourceQuota", "PriorityClass"} and leftover[1] in guards


def _waits(reason: Reason, message: str) -> tuple[Finding, ...]:
    return summary(progress=Progress.UNDER_WAY, reason=reason, message=message)


def _stalls(reason: Reason, message: str) -> tuple[Finding, ...]:
    return summary(progress=Progress.STALLED, reason=reason, message=message)
