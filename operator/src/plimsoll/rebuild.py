"""The ledger of a budget that has none: new, restored without its status, or made again under its name.

Pure. The world still knows what was claimed: every pod says what it can open, and every service what it was granted.
Called before the first reading of the server is published, so that nobody grows into room that others stand in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.budget.ledger import Claim, Ledger
from plimsoll.units import Connections, total

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.observed import PodView


def rebuilt(ledger: Ledger, *, budget: str, services: Iterable[FastAPIService], pods: Iterable[PodView]) -> Ledger:
    """The ledger with a claim for every service that holds something though no claim says so.

    Args:
        ledger: what the budget's status says.
        budget: namespace/name of the budget.
        services: every service there is.
        pods: every pod of any service that still runs.

    Returns:
        Claims at the larger of what was granted (the guard lets that many pods exist) and what the pods could open.
        Pods whose service is gone are claimed for under the name that they carry.
    """
    there = [pod for pod in pods if pod.budget == budget]
    known = {claim.uid for claim in ledger.claims}
    for service in services:
        meta, plan = service.metadata, service.status.plan
        if meta.uid in known or "/".join(service.budget_key) != budget:
            continue
        live = total(pod.connections for pod in there if pod.uid == meta.uid)
        granted = Connections(plan.granted) if plan else live
        held = max(granted, live)
        ledger = ledger.with_claim(_claim(meta.namespace, meta.name, meta.uid, held))
        known.add(meta.uid)
    for pod in there:
        if pod.uid not in known:
            left = total(other.connections for other in there if other.uid == pod.uid)
            ledger = ledger.with_claim(_claim(pod.namespace, pod.service, pod.uid, left))
            known.add(pod.uid)
    return ledger


def _claim(namespace: str, name: str, uid: str, connections: Connections) -> Claim:
    return Claim(
        namespace=namespace,
        name=name,
        uid=uid,
        connections=connections,
        arithmetic=f"{connections} found when the ledger was rebuilt",
    )
