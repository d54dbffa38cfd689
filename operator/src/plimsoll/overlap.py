"""What is between the pods that exist and the pods that are wanted: the worst of the way, and whether it is over.

Used by ``decide``; pure. A rollout mixes old and new pods, and only what has been seen to end is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.budget.demand import WEB, Demand, WorkloadDemand
from plimsoll.render import guard, migration
from plimsoll.render.names import component
from plimsoll.units import total

if TYPE_CHECKING:
    from plimsoll.observed import Observed
    from plimsoll.units import Connections


def transition(observed: Observed, wanted: Demand) -> Connections:
    """What could be opened at worst on the way from the pods that exist to the pods that are wanted.

    Per workload: its guard lets at most as many pods exist as are wanted (or as there are already, if more), and while
    dearer old pods exist, the old ReplicaSet may still replace one of its own.
    """
    parts = {part_of(workload): workload for workload in wanted.workloads}
    existing = {pod.part for pod in observed.pods}
    bounds = [
        max(observed.live(part), max(workload.cost.connections, observed.dearest(part)) * workload.pods)
        for part, workload in parts.items()
    ]
    leaving = [observed.live(part) for part in existing - set(parts) - {migration.PART}]
    migrating = max(wanted.migration, observed.live(migration.PART))
    return total([*bounds, *leaving, migrating])


def part_of(workload: WorkloadDemand) -> str:
    """The component label of a workload's pods."""
    return WEB if workload.name == WEB else component(workload.name.removeprefix("jobs "))


def is_settled(observed: Observed, wanted: Demand) -> bool:
    """Whether every pod that exists has the wanted shape, none is leaving, and every workload has arrived."""
    costs = {part_of(workload): workload.cost.connections for workload in wanted.workloads}
    views = {view.part: view for view in observed.deployments()}
    return (
        set(views) == set(costs)
        and all(view.settled for view in views.values())
        and all(
            not pod.terminating and pod.connections == costs.get(pod.part)
            for pod in observed.pods
            if pod.part != migration.PART
        )
        and not observed.live(migration.PART)
        and all(guard_in_force(observed, workload) for workload in wanted.workloads)
    )


def guard_in_force(observed: Observed, workload: WorkloadDemand) -> bool:
    """Whether the API server enforces the workload's quota as wanted: it goes by the quota's status, not its spec."""
    live = observed.children.get(("ResourceQuota", guard.quota_name(observed.service, part_of(workload))), {})
    wanted = str(workload.pods)
    return bool(
        live.get("spec", {}).get("hard", {}).get("pods") == wanted == live.get("status", {}).get("hard", {}).get("pods")
    )
