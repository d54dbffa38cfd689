"""What stands before any arithmetic: a spec that means nothing, a budget that is not there, not open, or not read.

Used by ``decide``; pure. Each says in one sentence what is wrong and what would mend it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.accounts import is_fresh, is_ready, lost_beside
from plimsoll.conditions import ConditionType, Finding, Reason, of_type, stalls, waits
from plimsoll.quantity import amount

if TYPE_CHECKING:
    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import BudgetKey
    from plimsoll.api.workloads import JobGroup, Web
    from plimsoll.observed import Observed


def lacking(service: FastAPIService) -> str:
    """What the spec would need to mean anything; its schema cannot look into open fields."""
    workloads: list[tuple[str, Web | JobGroup]] = [("web", service.spec.web)]
    workloads += [(f"jobs {group.name}", group) for group in service.spec.jobs]
    for name, workload in workloads:
        asked = [amount(workload.resources, kind, "cpu") for kind in ("requests", "limits")]
        if workload.autoscaling and not any(asked):
            return (
                f"{name}: autoscaling aims at a percentage of the CPU that a pod requests, and its resources request"
                " none; set resources.requests.cpu."
            )
    return ""


def closed(observed: Observed, key: BudgetKey) -> tuple[Finding, ...]:
    """Why the service may not claim from a budget at all."""
    budget, namespace = observed.budget(key), observed.service.metadata.namespace
    if budget is None:
        message = f"There is no ConnectionBudget {key}; create it, or correct the budgetRef that names it."
        return waits(Reason.BUDGET_NOT_FOUND, message)
    if not budget.admits(namespace, labels=observed.namespace_labels):
        message = (
            f"Budget {key} does not allow services of namespace {namespace}; its owner can set allowedNamespaces.from"
            " to All, or to Selector with labels of that namespace."
        )
        return stalls(Reason.NAMESPACE_NOT_ALLOWED, message)
    return ()


def unread(observed: Observed, budget: ConnectionBudget) -> str:
    """Why nothing may grow in a budget now."""
    if is_fresh(budget, now=observed.now) and (lost := lost_beside(budget, observed.budgets)):
        if gone := [key for key in lost if observed.budget(key) is None]:
            names = ", ".join(map(str, gone))
            return (
                f"{names}, on the same server, was deleted, and pods or what makes them still connect to it; create it"
                " again, or delete the services and pods that do."
            )
        return f"{', '.join(map(str, lost))}, on the same server, has lost its status, and is not read again yet."
    if is_ready(budget):
        return f"the last one is older than {budget.spec.stale_after_seconds} s."
    ready = of_type(budget.status.conditions, ConditionType.READY)
    return ready.message if ready else "it was never read."
