"""What is between the pods that exist and the pods that are wanted: the worst that can be opened on the way.

Used by ``decide``; pure. The bounds rest on what can make pods and on the guards in force, never on how many pods
happen to be there: a pod that was evicted a moment ago is made again a moment later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.budget.demand import WEB, Demand, WorkloadDemand, demand
from plimsoll.render import guard, migration
from plimsoll.render.names import component
from plimsoll.units import total

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.observed import Observed
    from plimsoll.units import Connections


def part_of(workload: WorkloadDemand) -> str:
    """The component label of a workload's pods."""
    return WEB if workload.name == WEB else component(workload.name.removeprefix("jobs "))


def standing(observed: Observed, part: str) -> Connections:
    """What the pods of one workload could open at worst for as long as nothing is applied.

    Its guard lets so many pods exist (or as many as there are already, if more), and each may be of the dearest shape
    that something can still make. A migration has one pod at a time.
    """
    live = observed.live(part)
    if not observed.can_make(part):
        return live
    if part == migration.PART:
        return max(live, observed.dearest(part))
    return max(live, observed.dearest(part) * _allowed(observed, part))


def on_the_way(observed: Observed, wanted: Demand) -> Connections:
    """What could be opened at worst from now until only the wanted pods are left.

    Each workload is at some point between what stands and what is wanted, no two of them at the same: so the bound is
    the sum over the worst of each. While dearer pods can be made, they may take the places of the cheaper new ones.
    """
    bounds = [
        max(
            standing(observed, part_of(workload)),
            max(workload.cost.connections, observed.dearest(part_of(workload))) * workload.pods,
        )
        for workload in wanted.workloads
    ]
    parts = {part_of(workload) for workload in wanted.workloads}
    leaving = [standing(observed, part) for part in observed.parts() - parts - {migration.PART}]
    return total([*bounds, *leaving, max(wanted.migration, standing(observed, migration.PART))])


def halfway(observed: Observed) -> tuple[FastAPIService, frozenset[str]]:
    """Where to go first when old and new do not fit side by side: the spec to roll out, and for which workloads.

    Nothing in it opens more than what stands, and it makes room for the rest: what shrinks goes all the way; what has
    cheaper pods but more of them is first replaced one for one; what grows is left alone.
    """
    service = observed.service
    spec = service.spec
    targets: dict[str, int] = {}
    for workload in demand(spec).workloads:
        part = part_of(workload)
        dearest = max(workload.cost.connections, observed.dearest(part))
        if dearest * workload.pods <= standing(observed, part):
            targets[part] = workload.pods
        elif workload.cost.connections < observed.dearest(part) and observed.can_make(part):
            targets[part] = min(workload.pods, _allowed(observed, part))
    surge = min([spec.rollout.max_surge, *(pods - 1 for pods in targets.values() if pods)])
    rollout = spec.rollout.model_copy(
        update={"max_surge": surge, "max_unavailable": spec.rollout.max_unavailable or (0 if surge else 1)}
    )
    smaller = spec.model_copy(
        update={
            "rollout": rollout,
            "web": spec.web.model_copy(update={"replicas": _replicas(spec.web.replicas, targets.get(WEB), surge)}),
            "jobs": tuple(
                group.model_copy(
                    update={"replicas": _replicas(group.replicas, targets.get(component(group.name)), surge)}
                )
                for group in spec.jobs
            ),
        }
    )
    return service.model_copy(update={"spec": smaller}), frozenset(targets)


def guard_in_force(observed: Observed, workload: WorkloadDemand) -> bool:
    """Whether the API server enforces the workload's quota as wanted."""
    return _limits(observed, part_of(workload)) == (workload.pods, workload.pods)


def unguarded(observed: Observed) -> bool:
    """Whether something can make pods and no quota in force limits them: somebody removed it."""
    return any(
        part != migration.PART and observed.can_make(part) and _limits(observed, part)[1] is None
        for part in observed.parts()
    )


def _replicas(wanted: int, pods: int | None, surge: int) -> int:
    return wanted if pods is None else min(wanted, max(0, pods - surge))


def _allowed(observed: Observed, part: str) -> int:
    """How many pods the workload's guard lets exist, or as many as there are where it has none."""
    limits = [limit for limit in _limits(observed, part) if limit is not None]
    return max(limits, default=sum(pod.part == part for pod in observed.pods))


def _limits(observed: Observed, part: str) -> tuple[int | None, int | None]:
    """The quota as it is written, and as it is in force: the API server goes by its status, which follows its spec."""
    live = observed.children.get(("ResourceQuota", guard.quota_name(observed.service, part)), {})
    written, enforced = (live.get(side, {}).get("hard", {}).get("pods") for side in ("spec", "status"))
    return None if written is None else int(written), None if enforced is None else int(enforced)
