"""What would become of services: the operator's own decision about each, as if nothing of theirs ran yet. Pure.

Last step before the printing. Services are decided upon in their order, into ledgers that hold the existing claims.
That is repeated until nothing changes, as the operator does: one that shrinks makes room for another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from plimsoll.accounts import ledgers_of, same_server, with_ledger
from plimsoll.api.meta import BudgetKey
from plimsoll.budget.capacity import ServerFacts, capacity
from plimsoll.budget.demand import Overlap, demand
from plimsoll.budget.ledger import Want
from plimsoll.budget_report import after_reading
from plimsoll.conditions import WAITS_FOR_ROOM
from plimsoll.decide import decide
from plimsoll.observed import Observed

from plimsoll_cli.model import BudgetPlan, Plan, Row, ServicePlan, State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.budget.demand import Demand
    from plimsoll.budget.ledger import Claim, Ledger
    from plimsoll.decide import Decision

EPOCH: Final = "1970-01-01T00:00:00Z"
"""When facts that are given by hand were read: the same input gives the same plan at any time."""


def with_facts(budget: ConnectionBudget, facts: ServerFacts) -> ConnectionBudget:
    """A new budget with a first reading of its server."""
    return budget.model_copy(update={"status": after_reading(budget, facts, now=EPOCH)})


def with_spec(live: ConnectionBudget, wish: ConnectionBudget) -> ConnectionBudget:
    """A budget of the cluster as it is once ``wish`` is applied: another capacity, from the same reading."""
    facts, status = facts_of(live), live.status
    if facts is not None:
        result = capacity(facts=facts, spec=wish.spec)
        status = status.model_copy(update={"capacity": result.connections.count, "arithmetic": str(result)})
    return live.model_copy(update={"spec": wish.spec, "status": status})


def facts_of(budget: ConnectionBudget) -> ServerFacts | None:
    """What the status says of the server."""
    if (server := budget.status.server) is None:
        return None
    return ServerFacts(
        version=server.version,
        max_connections=server.max_connections,
        superuser_reserved=server.superuser_reserved_connections,
        reserved=server.reserved_connections,
        role_limit=server.role_limit,
        database_limit=server.database_limit,
        system_identifier=server.system_identifier,
        started=server.started_time,
    )


def plan(
    *,
    budgets: Iterable[ConnectionBudget],
    services: Iterable[FastAPIService],
    labels: Mapping[str, Mapping[str, str]] | None = None,
    overlap: Overlap = Overlap.GUARDED,
    now: str = EPOCH,
    about: Collection[BudgetKey] | None = None,
    warnings: Iterable[str] = (),
) -> Plan:
    """Decides about services.

    Args:
        budgets: every budget that is known, read or not.
        services: what is wanted, in the order in which it is let in; each has a uid of its own.
        labels: labels of their namespaces.
        overlap: what keeps the number of pods within the claim.
        now: the time, by which it is judged whether a reading still counts.
        about: the budgets to tell of; left out, all.
        warnings: what else there is to say.
    """
    books = {budget.key: budget for budget in budgets}
    before = ledgers_of(books.values(), now=now)
    wanting = tuple(services)
    decisions: dict[str, Decision] = {}
    while True:
        last = dict(books)
        for service in wanting:
            decision = decide(
                Observed(
                    service=service,
                    budgets=tuple(books.values()),
                    namespace_labels=(labels or {}).get(service.metadata.namespace, {}),
                    overlap=overlap,
                    now=now,
                )
            )
            decisions[service.metadata.uid] = decision
            if not _is_admitted(decision, overlap=overlap):
                continue  # what it holds stays held: what runs keeps running
            for key, claim in decision.claims.items():
                books[key] = with_ledger(books[key], ledgers_of(books.values(), now=now)[key].with_claim(claim))
        if books == last:
            break
    ledgers = ledgers_of(books.values(), now=now)
    states = {service.metadata.uid: _state(service, decisions, overlap=overlap) for service in wanting}
    return Plan(
        budgets=tuple(
            _budget(
                budget,
                ledgers[budget.key],
                before=before[budget.key],
                others=books.values(),
                rows=[(each, decisions[each.metadata.uid], states[each.metadata.uid]) for each in wanting],
                overlap=overlap,
            )
            for budget in books.values()
            if about is None or budget.key in about
        ),
        services=tuple(_service(each, decisions[each.metadata.uid], states[each.metadata.uid]) for each in wanting),
        warnings=(
            *warnings,
            *(said for each in books.values() if (about is None or each.key in about) and (said := _nothing(each))),
        ),
    )


def _nothing(budget: ConnectionBudget) -> str:
    """Why a budget has nothing to give, which is not for its services to mend; empty where it has something."""
    facts = facts_of(budget)
    given = capacity(facts=facts, spec=budget.spec) if facts else None
    if given is None or given.connections:
        return ""
    return (
        f"ConnectionBudget {budget.key} has nothing to give, since what is held back takes all of the server's limit:"
        f" {given}; lower reserve, clients or the server's reserved connections, or raise max_connections."
    )


def _is_admitted(decision: Decision, *, overlap: Overlap) -> bool:
    """Whether it holds all that it asks for; what it then waits for is no matter of room."""
    if any(finding.reason in WAITS_FOR_ROOM for finding in decision.findings):
        return False
    service = decision.service
    return all(
        key in decision.claims and decision.claims[key].connections >= demand(service, key, overlap=overlap).connections
        for key in service.budget_keys
    )


def _state(service: FastAPIService, decisions: Mapping[str, Decision], *, overlap: Overlap) -> State:
    decision = decisions[service.metadata.uid]
    if not _is_admitted(decision, overlap=overlap):
        return State.OVER
    return State.SHRUNK if _pool(decision.service) < _pool(service) else State.FITS


def _service(service: FastAPIService, decision: Decision, state: State) -> ServicePlan:
    message = decision.findings[0].message if state is State.OVER and decision.findings else ""
    pools = _pool(decision.service), _pool(service)
    return ServicePlan(service=_key(service), state=state, pool=pools[0], pool_asked=pools[1], message=message)


def _budget(
    budget: ConnectionBudget,
    ledger: Ledger,
    *,
    before: Ledger,
    others: Iterable[ConnectionBudget],
    rows: Iterable[tuple[FastAPIService, Decision, State]],
    overlap: Overlap,
) -> BudgetPlan:
    known, mine = ledger.capacity is not None, [each for each in rows if budget.key in each[0].budget_keys]
    planned = {service.metadata.uid for service, _, _ in mine}
    facts = facts_of(budget) if known else None
    usable = ledger.usable
    return BudgetPlan(
        key=budget.key,
        facts=facts,
        capacity=capacity(facts=facts, spec=budget.spec) if facts else None,
        provider_reserved=budget.spec.provider_reserved,
        margin=ledger.kept_back.count,
        margin_of=_margin_of(ledger),
        usable=usable.count if usable else 0,
        claimed=ledger.claimed.count,
        elsewhere=ledger.elsewhere.count,
        shared_with=tuple(sorted(str(other.key) for other in same_server(budget, others))),
        free=ledger.free.count,
        rows=(
            *(_existing(claim) for claim in ledger.claims if claim.uid not in planned),
            *(_row(*each, key=budget.key, ledger=ledger, before=before, overlap=overlap) for each in mine),
        ),
    )


def _existing(claim: Claim) -> Row:
    count = claim.connections.count
    terms = tuple(claim.arithmetic.split("; ")) if claim.arithmetic else ()
    name = BudgetKey(claim.namespace, claim.name)
    return Row(service=name, state=State.HELD, connections=count, before=count, terms=terms)


def _row(
    service: FastAPIService,
    decision: Decision,
    state: State,
    *,
    key: BudgetKey,
    ledger: Ledger,
    before: Ledger,
    overlap: Overlap,
) -> Row:
    uid = service.metadata.uid
    wanted = demand(decision.service, key, overlap=overlap)
    count = wanted.connections
    if state is State.OVER:
        want = Want(uid=uid, connections=count, per_pod=wanted.per_pod)
        state = State.WAITS if ledger.grant(want).admitted else State.OVER
    else:
        count = ledger.held_by(uid)  # with what was seen beyond what it declares
    return Row(
        service=_key(service),
        state=state,
        connections=count.count,
        terms=_terms(wanted),
        before=before.held_by(uid).count,
    )


def _terms(wanted: Demand) -> tuple[str, ...]:
    return tuple(str(wanted).split("; "))


def _margin_of(ledger: Ledger) -> str:
    if ledger.margin is not None:
        return "spec.margin"
    if not ledger.kept_back:
        return "no pod yet"
    dearest = max(ledger.claims, key=lambda each: each.per_pod, default=None)
    if dearest is None or dearest.per_pod < ledger.kept_back:
        return "the dearest pod, of another budget of the server"
    return f"the dearest pod, of {dearest.namespace}/{dearest.name}"


def _key(service: FastAPIService) -> BudgetKey:
    return BudgetKey(service.metadata.namespace, service.metadata.name)


def _pool(service: FastAPIService) -> int:
    return service.spec.database.pool.size
