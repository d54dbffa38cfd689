"""For programs: the whole plan as one JSON object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plimsoll.api.meta import BudgetKey, Manifest

    from plimsoll_cli.model import BudgetPlan, Plan, Row


def text(plan: Plan) -> str:
    """The plan; fields are added to it over time, and none is renamed."""
    document = {
        "fits": not plan.is_over,
        "budgets": [_budget(each) for each in plan.budgets],
        "services": [
            {
                **_name(each.service),
                "state": each.state.name.lower(),
                "poolSize": each.pool,
                "poolSizeAsked": each.pool_asked,
                "message": each.message,
            }
            for each in plan.services
        ],
        "warnings": list(plan.warnings),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _budget(budget: BudgetPlan) -> Manifest:
    read: Manifest = {}
    if budget.facts is not None and budget.capacity is not None:
        read = {
            "maxConnections": budget.facts.max_connections,
            "ceiling": budget.capacity.ceiling.count,
            "binding": budget.capacity.binding,
            "deductions": [{"connections": taken.count, "label": label} for taken, label in budget.capacity.deductions],
            "capacity": budget.capacity.connections.count,
        }
    return {
        **_name(budget.key),
        **read,
        "margin": budget.margin,
        "marginOf": budget.margin_of,
        "usable": budget.usable,
        "claimed": budget.claimed,
        "claimedElsewhere": budget.elsewhere,
        "sharedWith": list(budget.shared_with),
        "free": budget.free,
        "services": [_row(each) for each in budget.rows],
    }


def _row(row: Row) -> Manifest:
    return {
        **_name(row.service),
        "state": row.state.name.lower(),
        "connections": row.connections,
        "before": row.before,
        "holds": row.holds,
        "terms": list(row.terms),
    }


def _name(key: BudgetKey) -> Manifest:
    return {"namespace": key.namespace, "name": key.name}
