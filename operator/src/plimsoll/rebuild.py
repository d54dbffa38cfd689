"""The ledger of a budget that has none: new, restored without its status, or made again under its name.

Pure. The world still knows what was claimed: every pod says what it can open, and every service what it was granted.
Called before the first reading of the server is published, so that nobody grows into room that others stand in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plimsoll.budget.ledger import Claim, Ledger
from plimsoll.units import NONE, Connections, total

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import BudgetKey
    from plimsoll.observed import MakerView, PodView


@dataclass(frozen=True, kw_only=True, slots=True)
class Traces:
    """What the world shows of services, for as long as their claims are lost.

    Attributes:
        services: every service that can be read.
        pods: every pod of any service that still runs.
        makers: what can still make such pods; it was seen before they were.
        guards: the quotas of all workloads: uid of the service and component → the pods that it lets exist.
    """

    services: tuple[FastAPIService, ...] = ()
    pods: tuple[PodView, ...] = ()
    makers: tuple[MakerView, ...] = ()
    guards: Mapping[tuple[str, str], int] = field(default_factory=dict)


def rebuilt(ledger: Ledger, *, budget: BudgetKey, traces: Traces) -> Ledger:
    """The ledger with a claim for every service that holds something though no claim says so.

    Claims are the largest of what the service was granted, what its pods could open, and what its guards let be made of
    the dearest shape that something can still make: one pod at least where no guard says more, as of a Job between two
    tries. A service that is gone is claimed for under the name that its pods carry, and what can make them.
    """
    pods = [pod for pod in traces.pods if pod.budget == budget]
    makers = [maker for maker in traces.makers if maker.budget == budget]
    found: tuple[PodView | MakerView, ...] = (*pods, *makers)  # a ReplicaSet may be without pods for a moment
    names = {each.uid: (each.namespace, each.service) for each in found}
    granted: dict[str, int] = {}
    for service in traces.services:
        meta, plan = service.metadata, service.status.plan
        if budget in service.budget_keys:
            names[meta.uid] = (meta.namespace, meta.name)
            if plan and len(service.budget_keys) == 1:  # of several, the plan tells the sum alone
                granted[meta.uid] = plan.granted
    for uid, (namespace, name) in names.items():
        shapes: dict[str, list[Connections]] = {}
        for each in found:
            if each.uid == uid:
                shapes.setdefault(each.part, []).append(each.connections)
        makes = {maker.part for maker in makers if maker.uid == uid}
        there = {part: [pod.connections for pod in pods if (pod.uid, pod.part) == (uid, part)] for part in shapes}
        held = total(
            max(
                total(there[part]),
                max(costs) * (traces.guards.get((uid, part), max(1, len(there[part]))) if part in makes else 0),
            )
            for part, costs in shapes.items()
        )
        held = max(held, Connections(granted.get(uid, 0)), ledger.held_by(uid))
        dearest = max((cost for costs in shapes.values() for cost in costs), default=NONE)
        ledger = ledger.with_claim(_claim(namespace, name, uid, held, per_pod=dearest))
    return ledger


def _claim(namespace: str, name: str, uid: str, connections: Connections, *, per_pod: Connections) -> Claim:
    return Claim(
        namespace=namespace,
        name=name,
        uid=uid,
        connections=connections,
        per_pod=per_pod,
        arithmetic=f"{connections} found when the ledger was rebuilt",
    )
