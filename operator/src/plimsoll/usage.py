"""Observed against declared: whose the connections are that the server has open, and who opens more than was said.

Pure. Pods set their name as application_name (PGAPPNAME), so a reading of the server tells what each of them holds. The
line is drawn for pods that keep to their declared pools; this is the check on that, and the list of what nobody
declared.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from plimsoll.api.connectionbudget import StrangerStatus, UsageStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set

    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.meta import BudgetKey
    from plimsoll.observed import PodView

OPERATOR_NAME: Final = "plimsoll-operator"
"""application_name of the operator's own connection."""

_NAME_LENGTH: Final = 63
"""PostgreSQL cuts an application_name there."""

_STRANGERS: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What one reading showed.

    Attributes:
        services: what each service had open.
        strangers: the largest of the clients that nothing explains.
        unexplained: how many connections all of these have.
    """

    services: tuple[UsageStatus, ...]
    strangers: tuple[StrangerStatus, ...]
    unexplained: int


def usage(
    backends: Mapping[str, int],
    *,
    budget: ConnectionBudget,
    pods: Iterable[PodView],
    server: Set[BudgetKey],
    now: str,
) -> Usage:
    """Who has what open.

    Args:
        backends: connections by application_name.
        budget: the budget of the server that was read, as it was before.
        pods: all pods that connect to this server.
        server: the budgets that point at this server, this one included: to each a pod may declare a part.
        now: the time, as Kubernetes writes it.
    """
    there = [pod for pod in pods if pod.budget in server]
    allowed: Counter[str] = Counter()
    for pod in there:
        allowed[pod.name[:_NAME_LENGTH]] += pod.connections.count
    before = {each.uid: each for each in budget.status.usage}
    services = []
    for uid in dict.fromkeys(pod.uid for pod in there if pod.budget == budget.key):
        mine = {pod.name[:_NAME_LENGTH]: pod for pod in there if pod.uid == uid}
        live = sum(backends.get(name, 0) for name in mine)
        worst = max(mine, key=lambda name: backends.get(name, 0) - allowed[name])
        beyond = max(0, backends.get(worst, 0) - allowed[worst])
        seen = UsageStatus(
            namespace=mine[worst].namespace,
            name=mine[worst].service,
            uid=uid,
            live=live,
            peak=max(live, before[uid].peak if uid in before else 0),
            undeclared=beyond,
            part=mine[worst].part if beyond else "",
            undeclared_time=now if beyond else None,
        )
        services.append(_remembering(seen, before.get(uid), now=now, seconds=budget.spec.stale_after_seconds))
    names = set(allowed) | {OPERATOR_NAME}
    lines = tuple(client.name for client in budget.spec.clients)
    strange = {
        name: count for name, count in backends.items() if name not in names and not (lines and name.startswith(lines))
    }
    largest = sorted(strange.items(), key=lambda each: (-each[1], each[0]))[:_STRANGERS]
    return Usage(
        services=tuple(sorted(services, key=lambda each: (each.namespace, each.name, each.uid))),
        strangers=tuple(StrangerStatus(application_name=name, connections=count) for name, count in largest),
        unexplained=sum(strange.values()),
    )


def _remembering(seen: UsageStatus, before: UsageStatus | None, *, now: str, seconds: float) -> UsageStatus:
    """What was seen, with the worst of before for as long as that counts: a pool that is idle now is not mended."""
    if before is None or not before.undeclared or before.undeclared_time is None:
        return seen
    age = datetime.fromisoformat(now) - datetime.fromisoformat(before.undeclared_time)
    if before.undeclared == seen.undeclared and age <= timedelta(seconds=seconds / 4):
        seen = seen.model_copy(update={"undeclared_time": before.undeclared_time})  # or it is written at every look
    if before.undeclared <= seen.undeclared or age > timedelta(seconds=seconds):
        return seen
    remembered = {"undeclared": before.undeclared, "part": before.part, "undeclared_time": before.undeclared_time}
    return seen.model_copy(update=remembered)
