"""What the operator tells Prometheus about itself, about the budgets and about what services have open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from plimsoll.api.budgetstatus import ConnectionBudgetStatus
    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.meta import BudgetKey

RECONCILES: Final = Counter("plimsoll_reconciles", "Reconciles by kind and how they ended.", ["kind", "result"])
RECONCILE_SECONDS: Final = Histogram("plimsoll_reconcile_seconds", "How long a reconcile takes.", ["kind"])
QUEUE_DEPTH: Final = Gauge("plimsoll_queue_depth", "Keys that wait to be reconciled.")
QUEUE_OLDEST: Final = Gauge("plimsoll_queue_oldest_seconds", "How long the oldest of them has waited.")

_BUDGET: Final = {
    field: Gauge(f"plimsoll_budget_{field}_connections", words, ["namespace", "budget"])
    for field, words in {
        "capacity": "What the server gives to services, before the margin.",
        "usable": "What services may claim in all.",
        "claimed": "What services have claimed.",
        "claimed_elsewhere": "What is claimed of the same server in other budgets.",
        "free": "What is left to claim.",
        "live": "Client connections when the server was last asked.",
        "peak": "The most of these ever seen.",
        "unexplained": "Of the live ones, those that neither a service nor a line of the budget explains.",
    }.items()
}
_SERVICE: Final = {
    field: Gauge(
        f"plimsoll_service_{field}_connections", words, ["namespace", "budget", "service_namespace", "service"]
    )
    for field, words in {
        "claimed": "What the service may open at worst.",
        "live": "What its pods had open when the server was last asked.",
        "peak": "The most of these ever seen.",
        "undeclared": "The most that one of its pods had open beyond what it declares.",
    }.items()
}
_services: Final[dict[BudgetKey, set[tuple[str, str]]]] = {}
"""Which services have numbers under a budget, so that those of services that are gone can be taken away."""


def of_budget(budget: ConnectionBudget, status: ConnectionBudgetStatus) -> None:
    """Tells what the status of a budget says."""
    key = budget.key
    for field, gauge in _BUDGET.items():
        gauge.labels(*key).set(getattr(status, field) or 0)
    now = {(each.namespace, each.name) for each in status.claims}
    now |= {(each.namespace, each.name) for each in status.usage}
    for gone in _services.get(key, set()) - now:
        for gauge in _SERVICE.values():
            gauge.remove(*key, *gone)
    _services[key] = now
    for service in now:
        claims = [each.connections for each in status.claims if (each.namespace, each.name) == service]
        _SERVICE["claimed"].labels(*key, *service).set(sum(claims))
        seen = [each for each in status.usage if (each.namespace, each.name) == service]
        for field in ("live", "peak", "undeclared"):
            _SERVICE[field].labels(*key, *service).set(sum(getattr(each, field) for each in seen))


def forget_budget(key: BudgetKey) -> None:
    """Takes away the numbers of a budget that is gone."""
    if key not in _services:
        return
    for service in _services.pop(key):
        for gauge in _SERVICE.values():
            gauge.remove(*key, *service)
    for gauge in _BUDGET.values():
        gauge.remove(*key)
