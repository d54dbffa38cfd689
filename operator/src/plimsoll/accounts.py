"""From budgets to ledgers: claims, a capacity where the last reading still counts, and what others claim of the server.

Pure. Used wherever a claim is decided upon or a budget's status is made, so that all count alike.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from plimsoll.api.budgetstatus import ClaimStatus
from plimsoll.api.meta import BudgetKey
from plimsoll.budget.capacity import is_one_server
from plimsoll.budget.ledger import Claim, Ledger
from plimsoll.conditions import ConditionType, of_type
from plimsoll.units import Connections, total

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from plimsoll.api.connectionbudget import ConnectionBudget


def is_fresh(budget: ConnectionBudget, *, now: str) -> bool:
    """Whether the last reading of its server still counts."""
    server = budget.status.server
    if server is None:
        return False
    age = datetime.fromisoformat(now) - datetime.fromisoformat(server.observed_time)
    return age <= timedelta(seconds=budget.spec.stale_after_seconds)


def is_ready(budget: ConnectionBudget) -> bool:
    """Whether its last reading was a good one, however long ago."""
    ready = of_type(budget.status.conditions, ConditionType.READY)
    return ready is not None and ready.status == "True"


def ledger_of(budget: ConnectionBudget, *, now: str, others: Iterable[ConnectionBudget] = ()) -> Ledger:
    """The ledger of one budget.

    Args:
        budget: the budget.
        now: the time, as Kubernetes writes it.
        others: every other budget, or all; those that point at the same server are counted in.
    """
    status, spec, others = budget.status, budget.spec, tuple(others)
    known = is_fresh(budget, now=now) and not lost_beside(budget, others)
    there = [claim for other in same_server(budget, others) for claim in other.status.claims]
    return Ledger(
        capacity=Connections(status.capacity) if known and status.capacity is not None else None,
        margin=None if spec.margin is None else Connections(spec.margin),
        claims=tuple(
            Claim(
                namespace=claim.namespace,
                name=claim.name,
                uid=claim.uid,
                connections=Connections(claim.connections),
                per_pod=Connections(claim.per_pod),
                arithmetic=claim.arithmetic,
            )
            for claim in status.claims
        ),
        elsewhere=total(Connections(claim.connections) for claim in there),
        pods_elsewhere={
            uid: total(Connections(claim.per_pod) for claim in there if claim.uid == uid)
            for uid in {claim.uid for claim in there}
        },
    )


def ledgers_of(budgets: Iterable[ConnectionBudget], *, now: str) -> dict[BudgetKey, Ledger]:
    """The ledger of each of ``budgets``, with what the others claim of the same server."""
    everyone = tuple(budgets)
    return {budget.key: ledger_of(budget, now=now, others=everyone) for budget in everyone}


def same_server(budget: ConnectionBudget, others: Iterable[ConnectionBudget]) -> tuple[ConnectionBudget, ...]:
    """Those of ``others`` that point at the same server."""
    mine = budget.status.server
    return tuple(
        other
        for other in others
        if other.key != budget.key
        and mine is not None
        and other.status.server is not None
        and is_one_server(mine, other.status.server)
    )


def lost_beside(budget: ConnectionBudget, others: Iterable[ConnectionBudget]) -> tuple[BudgetKey, ...]:
    """The budgets that shared its server when they were last read, and have lost their status since, or are deleted.

    What is held there is not known until they are read again, or nothing is left that connects (``without_forgotten``).
    """
    read = {other.key for other in others if other.status.server is not None}
    return tuple(key for key in map(BudgetKey.parse, budget.status.shared_with) if key not in read)


def without_forgotten(
    budget: ConnectionBudget, others: Iterable[ConnectionBudget], *, connected: Collection[BudgetKey]
) -> ConnectionBudget:
    """The budget without those beside it that are deleted, and that nothing connects to any more.

    Args:
        budget: the budget.
        others: every other budget.
        connected: what pods declare connections to, and what can still make pods.
    """
    there = {other.key for other in others} | set(connected)
    kept = tuple(name for name in budget.status.shared_with if BudgetKey.parse(name) in there)
    if kept == budget.status.shared_with:
        return budget
    return budget.model_copy(update={"status": budget.status.model_copy(update={"shared_with": kept})})


def with_ledger(budget: ConnectionBudget, ledger: Ledger) -> ConnectionBudget:
    """The budget as it is once the claims of ``ledger`` are written; its sums are left for ``budget_report``."""
    claims = tuple(
        ClaimStatus(
            namespace=claim.namespace,
            name=claim.name,
            uid=claim.uid,
            connections=claim.connections.count,
            per_pod=claim.per_pod.count,
            arithmetic=claim.arithmetic,
        )
        for claim in ledger.claims
    )
    return budget.model_copy(update={"status": budget.status.model_copy(update={"claims": claims})})
