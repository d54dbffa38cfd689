"""What each of a service's budgets says to it: what it asks for there, and what it is granted.

Used by ``decide``; pure. A service is asked about budget by budget, and rolled out when all of them admit it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from plimsoll.accounts import ledgers_of, with_ledger
from plimsoll.budget.demand import Demand, Overlap, demand
from plimsoll.budget.ledger import Claim, Grant, Ledger, Want
from plimsoll.overlap import (
    all_standing,
    entitled,
    last_migration,
    on_the_way,
    part_of,
    standing,
    undeclared,
    unguarded,
)
from plimsoll.units import NONE, Connections

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.meta import BudgetKey
    from plimsoll.observed import Observed


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What one budget has to say.

    Attributes:
        budget: the budget.
        ledger: its claims, and those on the same server in other budgets.
        view: what is observed, with only what connects to this server.
        wanted: what the service could open at worst once it runs as its spec says.
        want: what it asks for, the way there included.
        grant: the answer.
    """

    budget: ConnectionBudget
    ledger: Ledger
    view: Observed
    wanted: Demand
    want: Want
    grant: Grant


def accounts_of(observed: Observed, *, migrating: Connections | None = None) -> tuple[Account, ...]:
    """What each budget says to the service; with ``migrating``, to a step that opens only that beside what stands."""
    service = observed.service
    budgets = {budget.key: budget for budget in observed.budgets}
    accounts = []
    for key in observed.budget_keys:
        budget, view = budgets[key], observed.on(key)
        ledger = ledgers_of(budgets.values(), now=observed.now)[key]
        wanted = demand(service, key, overlap=observed.overlap)
        want = _want(view, wanted, budget=budget, ledger=ledger, own=key == service.budget_key)
        if migrating is not None:
            more = migrating if key == service.budget_key else NONE
            want = replace(want, connections=all_standing(_punctual(view)) + more, hold=want.standing + more)
        grant = ledger.grant(want)
        account = Account(budget=budget, ledger=ledger, view=view, wanted=wanted, want=want, grant=grant)
        accounts.append(account)
        # Another of its budgets may point at the same server: what it is granted here is gone there.
        budgets[key] = with_ledger(budget, ledger.with_claim(_claim(account)))
    return tuple(accounts)


def _want(view: Observed, wanted: Demand, *, budget: ConnectionBudget, ledger: Ledger, own: bool) -> Want:
    uid = view.service.metadata.uid
    usage = next((each for each in budget.status.usage if each.uid == uid), None)
    beyond = undeclared(view, wanted, usage)
    stands, settled = all_standing(view) + beyond, all_standing(_punctual(view), rightly=True) + beyond
    held, migrated = ledger.held_by(uid), last_migration(view) if own else NONE
    if _is_open_ended(view, wanted):  # no telling how many pods it may come to: at least nothing is given back
        stands, settled = max(stands, held), max(settled, held)
    return Want(
        uid=uid,
        connections=on_the_way(_punctual(view), wanted) + beyond,
        standing=stands,
        settled=max(settled, min(held, settled + migrated)),
        hold=max(on_the_way(view, wanted) + beyond, stands),
        keep=max(stands, entitled(view)) + migrated,
        per_pod=max(wanted.per_pod, _dearest(view)),
        beyond=beyond,
    )


def _punctual(view: Observed) -> Observed:
    """The view as if nothing were overdue: what is held for that is no room to grow into."""
    return replace(view, now="")


def _dearest(view: Observed) -> Connections:
    """The dearest pod that exists or can be made; of a workload whose guard lets none exist, none can."""
    return max((view.dearest(part) for part in view.parts() if standing(view, part)), default=NONE)


def _is_open_ended(view: Observed, wanted: Demand) -> bool:
    """Whether nothing that is in force bounds the pods to what was computed for them."""
    if view.overlap is Overlap.GUARDED:
        return unguarded(view)
    # Nothing but the operator's own order of steps bounds them, so until the last step has come to rest none is taken
    # back.
    resting = all(each.settled for each in view.deployments()) and not view.terminating()
    pods = {part_of(workload): (workload.replicas, workload.cost.connections) for workload in wanted.workloads}
    for deployment in view.deployments():
        replicas, cost = pods.get(deployment.part, (0, NONE))
        resting = resting and deployment.wanted <= replicas and view.dearest(deployment.part) <= cost
    return not resting


def claims_of(accounts: Iterable[Account], *, refused: bool = False) -> dict[BudgetKey, Claim]:
    """What to write into each ledger; ``refused`` by any of them, the service keeps in all what it needs to stand."""
    return {account.budget.key: _claim(account, refused=refused) for account in accounts}


def _claim(account: Account, *, refused: bool = False) -> Claim:
    meta, view = account.view.service.metadata, account.view
    hold = account.ledger.kept(account.want) if refused else account.grant.hold
    arithmetic = (
        str(account.wanted)
        if hold == account.wanted.connections
        else f"held while pods change or wait; the spec asks for {account.wanted}"
    )
    return Claim(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        connections=hold,
        per_pod=_dearest(view) if refused else account.want.per_pod,
        arithmetic=arithmetic[:1024],
    )
