"""What is between the pods that exist and the pods that are wanted: the worst that can be opened on the way.

Used by ``decide``; pure. Every function looks at one budget: ``observed`` is ``Observed.on`` of its key. The bounds
rest on what can make pods and on the guards in force, never on how many pods happen to be there: a pod that was
evicted a moment ago is made again a moment later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.budget.demand import WEB, Demand, WorkloadDemand
from plimsoll.observed import declared
from plimsoll.render import guard, migration
from plimsoll.render.names import PODS, component
from plimsoll.units import NONE, Connections, total

if TYPE_CHECKING:
    from plimsoll.api.budgetstatus import UsageStatus
    from plimsoll.api.meta import Manifest
    from plimsoll.observed import Observed


def part_of(workload: WorkloadDemand) -> str:
    """The component label of a workload's pods."""
    return WEB if workload.name == WEB else component(workload.name.removeprefix("jobs "))


def standing(observed: Observed, part: str, *, rightly: bool = False) -> Connections:
    """What the pods of one workload could open at worst for as long as nothing is applied.

    Its guard lets so many pods exist (or as many as there are already, if more), and each may be of the dearest shape
    that something can still make. A migration has one pod at a time.

    Args:
        observed: what is seen of one budget.
        part: the workload.
        rightly: what the operator has let it have, whatever somebody may have made of its guard.
    """
    live = observed.live(part)
    if not observed.can_make(part):
        return live
    if part == migration.PART:
        return max(live, observed.dearest(part))
    return max(live, observed.dearest(part) * allowed(observed, part, rightly=rightly))


def all_standing(observed: Observed, *, rightly: bool = False) -> Connections:
    """What all its pods could open at worst for as long as nothing is applied; ``rightly`` as in ``standing``."""
    return total(standing(observed, part, rightly=rightly) for part in observed.parts())


def entitled(observed: Observed) -> Connections:
    """What its pods could open at worst with the guards that the operator has let it have, overdue pods included."""
    parts = []
    for part in observed.parts():
        full = full_of(_guard(observed, part)) if observed.can_make(part) else None
        parts.append(standing(observed, part, rightly=True) if full is None else observed.dearest(part) * full)
    return total(parts)


def on_the_way(observed: Observed, wanted: Demand) -> Connections:
    """What could be opened at worst from now until only the wanted pods are left.

    Each workload is at some point between what stands and what is wanted, no two of them at the same: so the bound is
    the sum over the worst of each.
    """
    bounds = [_worst(observed, workload) for workload in wanted.workloads]
    parts = {part_of(workload) for workload in wanted.workloads}
    leaving = [standing(observed, part) for part in observed.parts() - parts - {migration.PART}]
    return total([*bounds, *leaving, max(wanted.migration, standing(observed, migration.PART))])


def _worst(observed: Observed, workload: WorkloadDemand) -> Connections:
    """What one workload could open at worst on the way.

    While dearer pods are there, or can be made, they may take the places of the cheaper new ones. But where nothing can
    make a pod that connects, and new pods do not connect either (a budget that the service has left), those there are
    all there will be: their maker was seen to be gone before they were counted.
    """
    part = part_of(workload)
    if not workload.cost.connections and not observed.can_make(part):
        return standing(observed, part)
    dearest = max(workload.cost.connections, observed.dearest(part))
    return max(standing(observed, part), dearest * workload.pods)


def undeclared(observed: Observed, wanted: Demand, usage: UsageStatus | None) -> Connections:
    """What pods may open beyond what they declare, if each does as the worst one of its workload was seen to do."""
    wishes = {part_of(workload): workload.pods for workload in wanted.workloads}
    return total(
        Connections(each.connections)
        * (1 if each.part == migration.PART else max(wishes.get(each.part, 0), allowed(observed, each.part)))
        for each in (usage.overdrafts if usage else ())
    )


def last_migration(observed: Observed) -> Connections:
    """What a migration of the last good state may have opened; going back to that state may take it again."""
    jobs = [job for (kind, _), job in observed.children.items() if kind == "Job"]
    templates = (job["spec"]["template"]["metadata"].get("annotations", {}) for job in jobs)
    return max((declared(each).get(observed.service.budget_key, NONE) for each in templates), default=NONE)


def allowed(observed: Observed, part: str, *, rightly: bool = False) -> int:
    """How many pods the workload's guard lets exist, with those that it no longer counts; without one, those there.

    ``rightly`` it lets no more of them exist than the operator wrote down.
    """
    limits = [limit for limit in limits_of(observed, part) if limit is not None]
    if not limits:
        return len({pod.name for pod in observed.pods if pod.part == part})
    limit = max(limits) + observed.overdue(part)
    full = full_of(_guard(observed, part))
    return limit if not rightly or full is None else min(limit, full)


def full_of(quota: Manifest) -> int | None:
    """The pods that a workload may have by the word of the operator, overdue ones included."""
    said = quota.get("metadata", {}).get("annotations", {}).get(PODS)
    return int(said) if said is not None and said.isdigit() else None


def guarded_pods(observed: Observed, workload: WorkloadDemand) -> int:
    """What the workload's quota is to be: the pods that it may have, less those that the API server will forget."""
    return max(0, workload.pods - observed.overdue(part_of(workload)))


def guard_in_force(observed: Observed, workload: WorkloadDemand) -> bool:
    """Whether the API server enforces the workload's quota as wanted."""
    pods = guarded_pods(observed, workload)
    return limits_of(observed, part_of(workload)) == (pods, pods)


def unguarded(observed: Observed) -> bool:
    """Whether something can make pods and no quota in force limits them: somebody removed it."""
    return any(
        part != migration.PART and observed.can_make(part) and limits_of(observed, part)[1] is None
        for part in observed.parts()
    )


def limits_of(observed: Observed, part: str) -> tuple[int | None, int | None]:
    """The quota as it is written, and as it is in force: the API server goes by its status, which follows its spec."""
    live = _guard(observed, part)
    written, enforced = (live.get(side, {}).get("hard", {}).get("pods") for side in ("spec", "status"))
    return None if written is None else int(written), None if enforced is None else int(enforced)


def _guard(observed: Observed, part: str) -> Manifest:
    return observed.children.get(("ResourceQuota", guard.quota_name(observed.service, part)), {})
