"""The words that all formats share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll_cli.model import State

if TYPE_CHECKING:
    from plimsoll_cli.model import BudgetPlan, Plan, Row, ServicePlan


def verdict(plan: Plan) -> str:
    """The whole plan in one sentence."""
    refused = [str(each.service) for each in plan.services if each.state is State.OVER]
    crowded = [str(each.key) for each in plan.budgets if each.is_overcommitted]
    said = []
    if refused:
        said.append(f"{len(refused)} of {len(plan.services)} services {_do(refused)} not fit: {', '.join(refused)}.")
    if crowded:
        said.append(f"More is claimed than the server gives: {', '.join(crowded)}.")
    return " ".join(said) or "Everything fits."


def arithmetic(budget: BudgetPlan) -> str:
    """How what services may claim comes about; the limit that binds is the first one."""
    if budget.capacity is None:
        return "No valid reading of its server: nothing may grow."
    return f"{budget.usable} usable = {budget.capacity} − {budget.margin} margin ({budget.margin_of})"


def balance(budget: BudgetPlan) -> str:
    """What is claimed and what is left."""
    beside = f" and {budget.elsewhere} by other budgets of the same server" if budget.elsewhere else ""
    return f"{budget.claimed} claimed{beside} of {budget.usable} usable, {budget.free} free"


def count(row: Row) -> str:
    """The connections of one service, and what it holds where that is another number."""
    return f"{row.before} → {row.connections}" if row.before not in {0, row.connections} else str(row.connections)


def becomes(service: ServicePlan) -> str:
    """What there is to say of one service; nothing where it simply fits."""
    if service.state is State.OVER:
        return f"does not fit. {service.message}"
    if service.state is State.SHRUNK:
        return f"fits with a pool of {service.pool} instead of {service.pool_asked} (whenOver: ShrinkPool)."
    return ""


def _do(several: list[str]) -> str:
    return "does" if len(several) == 1 else "do"
