"""What the operator tells Prometheus about itself and about the budgets."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

RECONCILES: Final = Counter("plimsoll_reconciles", "Reconciles by kind and how they ended.", ["kind", "result"])
RECONCILE_SECONDS: Final = Histogram("plimsoll_reconcile_seconds", "How long a reconcile takes.", ["kind"])
QUEUE_DEPTH: Final = Gauge("plimsoll_queue_depth", "Keys that wait to be reconciled.")
QUEUE_OLDEST: Final = Gauge("plimsoll_queue_oldest_seconds", "How long the oldest of them has waited.")
USABLE: Final = Gauge("plimsoll_budget_usable_connections", "What services may claim in all.", ["namespace", "budget"])
CLAIMED: Final = Gauge("plimsoll_budget_claimed_connections", "What services have claimed.", ["namespace", "budget"])
LIVE: Final = Gauge(
    "plimsoll_budget_live_connections", "Client connections seen on the server.", ["namespace", "budget"]
)
