"""The status of a budget: from a reading of its server (or from why there is none), and from the ledger.

Pure. The shell calls ``after_reading`` each time the server was asked, ``with_ledger`` each time a claim changes; both
end in one write of the whole status, guarded by the resourceVersion that was read.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from plimsoll.api.connectionbudget import ClaimStatus, ConnectionBudgetStatus, ServerStatus
from plimsoll.budget.capacity import capacity
from plimsoll.conditions import Progress, Reason, conditions, summary
from plimsoll.decide import ledger_of

if TYPE_CHECKING:
    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.budget.capacity import ServerFacts
    from plimsoll.budget.ledger import Ledger
    from plimsoll.conditions import Finding
    from plimsoll.errors import ProbeFailed


_UNREAD: Final = frozenset({Reason.SERVER_FULL, Reason.SERVER_UNREACHABLE, Reason.SECRET_UNREADABLE})
"""Why the last attempt to ask the server failed; only the next attempt can take that back."""


def after_reading(budget: ConnectionBudget, reading: ServerFacts | ProbeFailed, *, now: str) -> ConnectionBudgetStatus:
    """The status after the server was asked.

    A failed reading leaves the last good one in place: it counts for as long as the spec says, so that a database that
    restarts does not stop every rollout, and says so in the conditions.
    """
    before = budget.status
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
        observed_time=now,
    )
    if before.server is not None and _is_young(budget, now=now):
        # The same facts, read again: without this the status would be written at every probe for its time alone.
        unchanged = server.model_copy(update={"observed_time": before.server.observed_time})
        server = unchanged if unchanged == before.server else server
    status = before.model_copy(
        update={
            "observed_generation": budget.metadata.generation,
            "server": server,
            "usable": result.usable.count,
            "arithmetic": str(result),
            "live": reading.live,
            "peak": max(before.peak or 0, reading.live),
        }
    )
    read = budget.model_copy(update={"status": status})
    ledger = ledger_of(read, now=now)
    return _balanced(read, _with_sums(read, ledger), ledger, now=now)


def with_ledger(budget: ConnectionBudget, ledger: Ledger, *, now: str) -> ConnectionBudgetStatus:
    """The status with the claims of ``ledger`` and the sums over them; what is said of the last reading stays said."""
    status = _with_sums(budget, ledger)
    if any(each.reason in _UNREAD for each in budget.status.conditions):
        return status
    return _balanced(budget, status, ledger, now=now)


def _with_sums(budget: ConnectionBudget, ledger: Ledger) -> ConnectionBudgetStatus:
    claimed = ledger.claimed.count
    usable = budget.status.usable
    return budget.status.model_copy(
        update={
            "claims": tuple(
                ClaimStatus(
                    namespace=claim.namespace,
                    name=claim.name,
                    uid=claim.uid,
                    connections=claim.connections.count,
                    arithmetic=claim.arithmetic,
                )
                for claim in ledger.claims
            ),
            "claimed": claimed,
            "free": None if usable is None else max(0, usable - claimed),
            "load": f"{100 * claimed // usable}%" if usable else "",
        }
    )


def _balanced(
    budget: ConnectionBudget, status: ConnectionBudgetStatus, ledger: Ledger, *, now: str
) -> ConnectionBudgetStatus:
    """The status, with conditions that say whether the claims fit into what the server gives."""
    claimed = ledger.claimed.count
    if ledger.usable is None:
        return status
    if claimed > ledger.usable.count:
        message = (
            f"Services hold {claimed} connections, the server gives {status.arithmetic}: nothing is taken away,"
            " but nothing may grow until services shrink or the server gives more."
        )
        return _concluded(
            budget,
            status,
            findings=summary(progress=Progress.STALLED, reason=Reason.OVERCOMMITTED, message=message),
            now=now,
        )
    return _concluded(
        budget,
        status,
        findings=summary(
            progress=Progress.DONE, reason=Reason.OBSERVED, message=f"{status.arithmetic}; {claimed} claimed."
        ),
        now=now,
    )


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
    if ledger_of(budget, now=now).usable is None:
        consequence = "No reading of its limits is valid, so nothing may grow; what runs is left alone."
    else:
        read = budget.status.server.observed_time if budget.status.server else now
        consequence = f"The reading of {read} still counts, for {budget.spec.stale_after_seconds} s."
    return summary(progress=Progress.UNDER_WAY, reason=reason, message=f"{failure} {consequence}")


def _concluded(
    budget: ConnectionBudget, status: ConnectionBudgetStatus, *, findings: tuple[Finding, ...], now: str
) -> ConnectionBudgetStatus:
    made = conditions(
        findings=findings, before=budget.status.conditions, generation=status.observed_generation, now=now
    )
    return status.model_copy(update={"conditions": made})
