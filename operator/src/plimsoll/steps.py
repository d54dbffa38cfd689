"""One step towards the spec of a service that is granted: which children to write and delete, and in what order.

Used by ``decide`` when the claims allow it; pure. The order is that of ADR 4:

    guards → (in force?) → migration → (done?) → workloads → leftovers

Without guards (``Counted``) a workload is changed only when its last change has come to rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from plimsoll.budget.demand import Overlap, WorkloadDemand, demand
from plimsoll.conditions import Reason, waits
from plimsoll.configuration import pace, versions
from plimsoll.migrating import migrate
from plimsoll.overlap import full_of, guard_in_force, guarded_pods, part_of
from plimsoll.render import autoscaler, deployment, disruption, guard, migration
from plimsoll.render.names import COMPONENT, FIELD_MANAGER, component
from plimsoll.render.service import service as render_service
from plimsoll.render.stamp import has_foreign_items, is_current, overwriting, stamped
from plimsoll.step import SOON_SECONDS, Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plimsoll.api.meta import Manifest
    from plimsoll.deployments import DeploymentView
    from plimsoll.observed import Observed
    from plimsoll.step import Ref

_WITH_LISTS: Final = frozenset({"Deployment", "Service"})
"""Kinds with lists to which others can add items that an apply does not take away."""


def roll_out(observed: Observed, *, parts: frozenset[str] | None = None) -> Step:
    """Guards, then the migration, then the workloads: of all ``parts`` of the service, or only of some."""
    service = observed.service
    wanted = _workloads(observed)
    rolled = [workload for workload in wanted if parts is None or part_of(workload) in parts]
    guards = [manifest for workload in rolled for manifest in _guards(observed, workload)]
    front = _outdated(observed, [*guards, render_service(service)])
    if held := migrate(observed, before=front):
        return held
    if guards and not all(guard_in_force(observed, workload) for workload in rolled):
        message = "Waits until the API server enforces the ResourceQuotas that keep the pods within the claim."
        return replace(front, findings=waits(Reason.WAITING_FOR_GUARD, message), again_after=SOON_SECONDS)
    restless = [part_of(workload) for workload in rolled if not _at_rest(observed, part_of(workload))]
    moved = [workload for workload in rolled if part_of(workload) not in restless]
    workloads = _outdated(observed, [each for workload in moved for each in _makers(observed, workload)])
    leftovers = _leftovers(observed, wanted=wanted)
    step = Step(
        apply=(*front.apply, *workloads.apply),
        overwrite=(*front.overwrite, *workloads.overwrite),
        delete=tuple(ref for ref in leftovers if not _is_needed(observed, ref)),
        leftovers=leftovers,
    )
    waiting = [
        workload
        for workload in rolled
        if part_of(workload) in restless and not _outdated(observed, _makers(observed, workload)).is_empty
    ]
    if waiting:
        names = ", ".join(sorted(part_of(workload) for workload in waiting))
        message = (
            f"Waits until the last change of {names} has come to rest, terminating pods included: nothing else counts"
            " them."
        )
        step = replace(step, findings=waits(Reason.WAITING_FOR_QUIET, message), again_after=2 * SOON_SECONDS)
    return step


def fenced(observed: Observed, step: Step, *, may_raise: bool) -> Step:
    """The step, with guards that make room for pods that the API server will forget, and where somebody has raised one.

    Whatever else becomes of the service: one that is refused has lost nodes too. When these pods are gone the guard is
    as before, if the claim still covers that (``may_raise``).
    """
    written = {each["metadata"]["name"] for each in step.apply}
    changed = []
    for (kind, name), live in observed.children.items():
        part = live["metadata"].get("labels", {}).get(COMPONENT, "")
        full = full_of(live)
        if kind != "ResourceQuota" or name in written or full is None:
            continue
        pods = max(0, full - observed.overdue(part))
        now = int(live["spec"]["hard"]["pods"])
        if pods < now or (pods > now and may_raise):
            changed.append(stamped(guard.quota(observed.service, part, pods=pods, full=full)))
    return replace(step, apply=(*changed, *step.apply)) if changed else step


def _workloads(observed: Observed) -> tuple[WorkloadDemand, ...]:
    return demand(observed.service, observed.service.budget_key, overlap=observed.overlap).workloads


def _guards(observed: Observed, workload: WorkloadDemand) -> tuple[Manifest, ...]:
    if observed.overlap is Overlap.COUNTED:
        return ()
    service, part = observed.service, part_of(workload)
    limit = guard.quota(service, part, pods=guarded_pods(observed, workload), full=workload.pods)
    return guard.priority_class(service, part), limit


def _makers(observed: Observed, workload: WorkloadDemand) -> list[Manifest]:
    """The Deployment of a workload, what limits its disruption, and its autoscaler where it has one."""
    service, part = observed.service, part_of(workload)
    group = next((each for each in service.spec.jobs if component(each.name) == part), None)
    scaling = group.autoscaling if group else service.spec.web.autoscaling
    made = deployment.web(service) if group is None else deployment.jobs(service, group)
    if observed.overlap is Overlap.COUNTED:
        made = deployment.unguarded(made)
    name = made["metadata"]["name"]
    live = observed.children.get(("Deployment", name))
    made = deployment.configured(made, versions=_versions(observed, live, made=made))
    limit = disruption.disruption_budget(service, part=part, target=name)
    if scaling is None:
        return [made, limit]
    scaler = autoscaler.autoscaler(service, scaling, part=part, target=name)
    return [deployment.scaled_by_others(made, replicas=_replicas(live, fewest=scaling.min_replicas)), limit, scaler]


def _versions(observed: Observed, live: Manifest | None, *, made: Manifest) -> str:
    """The Secrets and ConfigMaps that the pods are to belong to, given those that the running ones do."""
    return versions(
        observed.readings,
        live=live["spec"]["template"] if live else {},
        made=made["spec"]["template"],
        pace=pace(observed.own_budgets()),
        now=observed.now,
    )


def _replicas(live: Manifest | None, *, fewest: int) -> int | None:
    """What to say of the replicas of an autoscaled Deployment: nothing, once somebody else has a say in them.

    A field that its only owner leaves out is taken away, and the Deployment falls back to one pod; so the number is
    repeated until the autoscaler has written one of its own.
    """
    if live is None:
        return fewest
    others = (entry for entry in live["metadata"].get("managedFields", []) if entry.get("manager") != FIELD_MANAGER)
    if any("f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {}) for entry in others):
        return None
    replicas: int = live["spec"].get("replicas", 1)
    return max(replicas, 1)  # an autoscaler leaves a Deployment of no replicas alone


def _at_rest(observed: Observed, part: str) -> bool:
    """Whether the workload may be changed now; with a guard always, since that counts what terminates."""
    if observed.overlap is Overlap.GUARDED:
        return True
    view: DeploymentView | None = next((each for each in observed.deployments() if each.part == part), None)
    return view is None or (view.settled and not observed.terminating(part))


def _outdated(observed: Observed, manifests: Iterable[Manifest]) -> Step:
    """Of ``manifests``, those that are not yet so: to be applied, or where that cannot help, to be overwritten."""
    apply, overwrite = [], []
    for each in map(stamped, manifests):
        live = observed.children.get((each["kind"], each["metadata"]["name"]))
        if is_current(live=live, wanted=each):
            continue
        if live is not None and each["kind"] in _WITH_LISTS and has_foreign_items(live=live, wanted=each):
            overwrite.append(overwriting(live=live, wanted=each))
        else:
            apply.append(each)
    return Step(apply=tuple(apply), overwrite=tuple(overwrite))


def _leftovers(observed: Observed, *, wanted: Iterable[WorkloadDemand]) -> tuple[Ref, ...]:
    """Children that the spec no longer names; of Services there is always exactly one."""
    service = observed.service
    keep = {ref for ref in observed.children if ref[0] == "Service"}
    for workload in wanted:
        manifests = (*_guards(observed, workload), *_makers(observed, workload))
        keep |= {(each["kind"], each["metadata"]["name"]) for each in manifests}
    if service.spec.migrations:
        keep.add(("Job", migration.job_name(service, service.spec.migrations)))
        keep |= {("Job", name) for name in migration.latest_done(observed.children)}
    return tuple(sorted(ref for ref in observed.children if ref not in keep))


def _is_needed(observed: Observed, leftover: Ref) -> bool:
    """Whether it is a guard, and there are pods behind it, or something that could still make some."""
    if observed.overlap is Overlap.COUNTED:
        return False
    guards = {guard.quota_name(observed.service, part) for part in observed.parts()}
    return leftover[0] in {"ResourceQuota", "PriorityClass"} and leftover[1] in guards
