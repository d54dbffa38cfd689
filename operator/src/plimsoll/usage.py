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

from plimsoll.api.budgetstatus import OverdraftStatus, StrangerStatus, UsageStatus

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
    uids = dict.fromkeys(pod.uid for pod in there if pod.budget == budget.key)
    services = _remembered(budget, seen=uids.keys(), now=now)
    for uid in uids:
        mine = {pod.name[:_NAME_LENGTH]: pod for pod in there if pod.uid == uid}
        live = sum(backends.get(name, 0) for name in mine)
        beyond: dict[str, int] = {}
        for name, pod in mine.items():
            beyond[pod.part] = max(beyond.get(pod.part, 0), backends.get(name, 0) - allowed[name])
        pod = next(iter(mine.values()))
        then = before.get(uid)
        seen = UsageStatus(
            namespace=pod.namespace,
            name=pod.service,
            uid=uid,
            live=live,
            peak=max(live, then.peak if then else 0),
            overdrafts=_overdrafts(
                beyond, then.overdrafts if then else (), now=now, seconds=budget.spec.stale_after_seconds
            ),
        )
        services.append(seen)
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


def _remembered(budget: ConnectionBudget, *, seen: Set[str], now: str) -> list[UsageStatus]:
    """The overdrafts of services that have no pod now: while they hold a claim, the next pod does as the last one."""
    claims = {claim.uid for claim in budget.status.claims}
    kept = []
    for each in budget.status.usage:
        overdrafts = _overdrafts({}, each.overdrafts, now=now, seconds=budget.spec.stale_after_seconds)
        if overdrafts and each.uid in claims - seen:
            kept.append(each.model_copy(update={"live": 0, "overdrafts": overdrafts}))
    return kept


def _overdrafts(
    beyond: Mapping[str, int], before: Iterable[OverdraftStatus], *, now: str, seconds: float
) -> tuple[OverdraftStatus, ...]:
    """What is seen of each workload now, or the worst of before for as long as that counts.

    A pool that is idle now is not mended; and one that was never seen beyond what it declares is not worth a word.
    """
    then = {each.part: each for each in before}
    found = []
    for part in sorted(set(beyond) | set(then)):
        last, count = then.get(part), beyond.get(part, 0)
        age = datetime.fromisoformat(now) - datetime.fromisoformat(last.seen_time if last else now)
        # What is as it was is written again only now and then, rather than at every look for its time alone.
        kept = age <= timedelta(seconds=seconds / 4 if last and count == last.connections else seconds)
        if last and count <= last.connections and kept:
            found.append(last)
        elif count > 0:
            found.append(OverdraftStatus(part=part, connections=count, seen_time=now))
    return tuple(found)
