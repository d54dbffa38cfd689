"""The status of a budget: from a reading of its server (or from why there is none), and from the ledger.

Pure. The shell calls ``after_reading`` each time the server was asked, ``with_ledger`` each time a claim changes; both
end in one write of the whole status, guarded by the resourceVersion that was read.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from plimsoll import accounts
from plimsoll.accounts import is_fresh, ledger_of, lost_beside, same_server
from plimsoll.api.budgetstatus import ConnectionBudgetStatus, ServerStatus
from plimsoll.budget.capacity import capacity
from plimsoll.conditions import UNREAD, Progress, Reason, conditions, summary
from plimsoll.units import Connections
from plimsoll.usage import usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.budget.capacity import ServerFacts
    from plimsoll.budget.ledger import Ledger
    from plimsoll.conditions import Finding
    from plimsoll.errors import ProbeFailed
    from plimsoll.observed import PodView


def after_reading(
    budget: ConnectionBudget,
    reading: ServerFacts | ProbeFailed,
    *,
    others: Iterable[ConnectionBudget] = (),
    pods: Iterable[PodView] = (),
    now: str,
) -> ConnectionBudgetStatus:
    """The status after the server was asked.

    A failed reading leaves the last good one in place: it counts for as long as the spec says, so that a database that
    restarts does not stop every rollout, and says so in the conditions.

    Args:
        budget: the budget as it is.
        reading: what the server said, or why it did not.
        others: every other budget, of which some may point at the same server.
        pods: every pod of any service.
        now: the time, as Kubernetes writes it.
    """
    before, others = budget.status, tuple(others)
    if isinstance(reading, Exception):
        status = before.model_copy(update={"observed_generation": budget.metadata.generation})
        return _concluded(budget, status, findings=_unread(budget, reading, now=now), now=now)
    result = capacity(facts=reading, spec=budget.spec)
    server = ServerStatus(
        version=reading.version,
        max_connections=reading.max_connections,
        superuser_reserved_connections=reading.superuser_reserved,
        reserved_connections=reading.reserved,
        role_limit=reading.role_limit,
        database_limit=reading.database_limit,
        system_identifier=reading.system_identifier,
        started_time=reading.started,
        observed_time=now,
    )
    if before.server is not None and _is_young(budget, now=now):
        # The same facts, read again: without this the status would be written at every probe for its time alone.
        unchanged = server.model_copy(update={"observed_time": before.server.observed_time})
        server = unchanged if unchanged == before.server else server
    read = _with(budget, server=server)
    together = {budget.key, *(other.key for other in same_server(read, others)), *lost_beside(read, others)}
    seen = usage(reading.backends, budget=budget, pods=pods, server=together, now=now)
    read = _with(
        read,
        observed_generation=budget.metadata.generation,
        capacity=result.connections.count,
        arithmetic=str(result)[:2048],
        live=reading.live,
        peak=max(before.peak or 0, reading.live),
        unexplained=seen.unexplained,
        strangers=seen.strangers,
        usage=seen.services,
    )
    ledger = ledger_of(read, now=now, others=others)
    return _balanced(read, _with_sums(read, ledger, others=others), ledger, now=now)


def with_ledger(
    budget: ConnectionBudget, ledger: Ledger, *, others: Iterable[ConnectionBudget] = (), now: str
) -> ConnectionBudgetStatus:
    """The status with the claims of ``ledger`` and the sums over them; what is said of the last reading stays said."""
    status = _with_sums(accounts.with_ledger(budget, ledger), ledger, others=others)
    if any(each.reason in UNREAD for each in budget.status.conditions):
        return status
    return _balanced(budget, status, ledger, now=now)


def _with(budget: ConnectionBudget, **status: object) -> ConnectionBudget:
    return budget.model_copy(update={"status": budget.status.model_copy(update=status)})


def _with_sums(
    budget: ConnectionBudget, ledger: Ledger, *, others: Iterable[ConnectionBudget]
) -> ConnectionBudgetStatus:
    status, others = budget.status, tuple(others)
    lost = lost_beside(budget, others)
    shared = (*(other.key for other in same_server(budget, others)), *lost)
    sums: dict[str, object] = {"claimed": ledger.claimed.count}
    if status.capacity is not None:
        usable = Connections(status.capacity).minus(ledger.kept_back)
        taken = ledger.claimed + ledger.elsewhere
        sums |= {
            "margin": ledger.kept_back.count,
            "usable": usable.count,
            "free": 0 if lost else usable.minus(taken).count,
            "load": f"{100 * taken.count // usable.count}%" if usable else "",
        }
    return status.model_copy(
        update={
            **sums,
            "claimed_elsewhere": ledger.elsewhere.count if shared else None,
            "shared_with": tuple(sorted(map(str, shared)))[:32],
        }
    )


def _balanced(
    budget: ConnectionBudget, status: ConnectionBudgetStatus, ledger: Ledger, *, now: str
) -> ConnectionBudgetStatus:
    """The status, with conditions that say whether the claims fit into what the server gives."""
    taken, usable = ledger.claimed + ledger.elsewhere, ledger.usable
    if usable is None:
        return status
    gives = f"{usable} usable = {status.arithmetic} − {ledger.kept_back} margin"
    claimed = f"{ledger.claimed} claimed"
    if ledger.elsewhere:
        claimed += f" here and {ledger.elsewhere} in {', '.join(status.shared_with)}, which point at the same server"
    if taken > usable:
        message = (
            f"{claimed[0].upper()}{claimed[1:]}, and the server gives {gives}: nothing is taken away, but nothing may"
            " grow until services shrink or the server gives more."
        )
        findings = summary(progress=Progress.STALLED, reason=Reason.OVERCOMMITTED, message=message)
        return _concluded(budget, status, findings=findings, now=now)
    findings = summary(progress=Progress.DONE, reason=Reason.OBSERVED, message=f"{gives}; {claimed}.")
    return _concluded(budget, status, findings=findings, now=now)


def without_secret(budget: ConnectionBudget, message: str, *, now: str) -> ConnectionBudgetStatus:
    """The status while the Secret with the server's URI cannot be read: an edit or a grant is needed."""
    status = budget.status.model_copy(update={"observed_generation": budget.metadata.generation})
    return _concluded(
        budget,
        status,
        findings=summary(progress=Progress.STALLED, reason=Reason.SECRET_UNREADABLE, message=message),
        now=now,
    )


def _is_young(budget: ConnectionBudget, *, now: str) -> bool:
    """Whether the last reading is younger than a quarter of the time for which it counts."""
    server = budget.status.server
    if server is None:
        return False
    age = datetime.fromisoformat(now) - datetime.fromisoformat(server.observed_time)
    return age <= timedelta(seconds=budget.spec.stale_after_seconds / 4)


def _unread(budget: ConnectionBudget, failure: ProbeFailed, *, now: str) -> tuple[Finding, ...]:
    reason = Reason.SERVER_FULL if failure.full else Reason.SERVER_UNREACHABLE
    if not is_fresh(budget, now=now):
        consequence = "No reading of its limits is valid, so nothing may grow; what runs is left alone."
    else:
        read = datetime.fromisoformat(budget.status.server.observed_time if budget.status.server else now)
        until = read + timedelta(seconds=budget.spec.stale_after_seconds)
        consequence = f"The reading of {read:%Y-%m-%dT%H:%M:%SZ} still counts, until {until:%Y-%m-%dT%H:%M:%SZ}."
    return summary(progress=Progress.UNDER_WAY, reason=reason, message=f"{failure} {consequence}")


def _concluded(
    budget: ConnectionBudget, status: ConnectionBudgetStatus, *, findings: tuple[Finding, ...], now: str
) -> ConnectionBudgetStatus:
    made = conditions(
        findings=findings, before=budget.status.conditions, generation=status.observed_generation, now=now
    )
    return status.model_copy(update={"conditions": made})
