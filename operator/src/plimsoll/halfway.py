"""Where to go first when old and new pods fit one after the other, but not side by side.

Used by ``decide``; pure. A step on the way opens nothing more than what stands, in any budget, and makes room for the
rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from plimsoll.api.workloads import JobGroup, Web
from plimsoll.budget.demand import WEB, WorkloadDemand, demand
from plimsoll.overlap import allowed, part_of, standing
from plimsoll.render.names import component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.observed import Observed
    from plimsoll.units import Connections

_Workload = TypeVar("_Workload", Web, JobGroup)


def halfway(observed: Observed) -> tuple[FastAPIService, frozenset[str]]:
    """The spec to roll out first, and for which workloads.

    What shrinks goes all the way; what has cheaper pods but more of them is first replaced one for one; what grows is
    left alone.
    """
    targets = _targets(observed)
    return _limited(observed.service, targets), frozenset(targets)


def in_place(observed: Observed) -> FastAPIService:
    """The spec with no more pods of any workload than it may have now: for a service that moves to another budget.

    A guard counts pods, whichever budget they are of. As long as something makes pods of the budget that the service
    leaves, a higher guard would let more of these exist.
    """
    punctual = replace(observed, now="")
    targets = {
        part_of(workload): min(workload.pods, allowed(punctual, part_of(workload)))
        for workload in demand(observed.service, observed.service.budget_key, overlap=observed.overlap).workloads
        if observed.can_make(part_of(workload))
    }
    return _limited(observed.service, targets)


def _limited(service: FastAPIService, targets: Mapping[str, int]) -> FastAPIService:
    rollout = service.spec.rollout
    surge = min([rollout.max_surge, *(pods - 1 for pods in targets.values() if pods)])
    rollout = rollout.model_copy(
        update={"max_surge": surge, "max_unavailable": rollout.max_unavailable or (0 if surge else 1)}
    )
    spec = service.spec.model_copy(
        update={
            "rollout": rollout,
            "web": _with_at_most(service.spec.web, targets.get(WEB), surge),
            "jobs": tuple(
                _with_at_most(group, targets.get(component(group.name)), surge) for group in service.spec.jobs
            ),
        }
    )
    return service.model_copy(update={"spec": spec})


def _targets(observed: Observed) -> dict[str, int]:
    """Workload → the pods that it may have at once on the first step."""
    views = {key: observed.on(key) for key in observed.budget_keys}
    wanted = {key: demand(observed.service, key, overlap=observed.overlap) for key in views}
    targets: dict[str, int] = {}
    for workloads in zip(*(wanted[key].workloads for key in views), strict=True):
        costs = list(zip(views.values(), workloads, strict=True))
        part, pods = part_of(workloads[0]), workloads[0].pods
        if all(_worst(view, each) * pods <= standing(view, part) for view, each in costs):
            targets[part] = pods
        elif observed.can_make(part) and _is_cheaper(costs, part):
            targets[part] = min(pods, allowed(observed, part))
    return targets


def _worst(view: Observed, workload: WorkloadDemand) -> Connections:
    return max(workload.cost.connections, view.dearest(part_of(workload)))


def _is_cheaper(costs: list[tuple[Observed, WorkloadDemand]], part: str) -> bool:
    pairs = [(each.cost.connections, view.dearest(part)) for view, each in costs]
    return all(new <= old for new, old in pairs) and any(new < old for new, old in pairs)


def _with_at_most(workload: _Workload, pods: int | None, surge: int) -> _Workload:
    if pods is None:
        return workload
    most = max(0, pods - surge)
    scaling = workload.autoscaling
    if scaling is not None and not most:
        return workload.model_copy(update={"autoscaling": None, "replicas": 0})
    if scaling is not None:
        bounds = {"max_replicas": min(scaling.max_replicas, most), "min_replicas": min(scaling.min_replicas, most)}
        return workload.model_copy(update={"autoscaling": scaling.model_copy(update=bounds)})
    return workload.model_copy(update={"replicas": min(workload.replicas, most)})
