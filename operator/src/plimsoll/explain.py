"""The sentences: what does not fit, by how much, and the cheapest change that would.

One place, so that ``kubectl get``, the conditions and the CLI say the same; the admission policy says the first two
sentences in CEL, and a test holds the two together. Printed from the computation's own terms, never from numbers
written down a second time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from plimsoll.api.databases import LARGEST_POOL
from plimsoll.api.fastapiservice import WhenOver
from plimsoll.budget.demand import Overlap, demand, processes
from plimsoll.budget.fit import floor_of, largest
from plimsoll.budget.ledger import Want

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import BudgetKey
    from plimsoll.budget.demand import Demand
    from plimsoll.budget.ledger import Grant, Ledger
    from plimsoll.units import Connections

_NAMED_HOLDERS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A service before one of its budgets: what a refusal speaks of."""

    service: FastAPIService
    key: BudgetKey
    ledger: Ledger
    overlap: Overlap = Overlap.GUARDED
    beside: Mapping[BudgetKey, Ledger] = field(default_factory=dict)
    """Its other budgets: what would fit fits into them as well."""

    @property
    def wanted(self) -> Demand:
        """What the service could open at worst once it runs as its spec says."""
        return demand(self.service, self.key, overlap=self.overlap)

    @property
    def fits(self) -> bool:
        """Whether there is room for that, here and beside."""
        return self._fits(self.key, self.ledger) and not self.over_beside

    @property
    def over_beside(self) -> tuple[BudgetKey, ...]:
        """The other budgets that have no room for it either."""
        return tuple(key for key, ledger in self.beside.items() if not self._fits(key, ledger))

    def _fits(self, key: BudgetKey, ledger: Ledger) -> bool:
        wanted = demand(self.service, key, overlap=self.overlap)
        want = Want(uid=self.service.metadata.uid, connections=wanted.connections, per_pod=wanted.per_pod)
        return wanted.connections <= ledger.room_for(want)

    def but(self, **parts: object) -> Case:
        """The same with other parts of the spec."""
        spec = self.service.spec.model_copy(update=parts)
        return replace(self, service=self.service.model_copy(update={"spec": spec}))

    def but_pool(self, size: int) -> Case:
        """The same with another pool of the database that counts here, and no overflow."""
        if self.is_own:
            return replace(self, service=with_pool(self.service, size=size, overflow=0))
        others = tuple(
            each.model_copy(update={"pool_size": size, "max_overflow": 0}) if each.name == self._database else each
            for each in self.service.spec.additional_databases
        )
        return self.but(additional_databases=others)

    def pool_words(self, size: int) -> str:
        """Which pool that is."""
        if self.is_own:
            return f"database.pool.size {size} with maxOverflow 0"
        return f"additionalDatabases[{self._database}].poolSize {size} with maxOverflow 0"

    @property
    def is_own(self) -> bool:
        """Whether this is the budget of the service's own database."""
        return self.key == self.service.budget_key

    @property
    def _database(self) -> str:
        service = self.service
        return next(
            each.name for each in service.spec.additional_databases if service.key_of(each.budget_ref) == self.key
        )


def with_pool(service: FastAPIService, *, size: int, overflow: int | None = None) -> FastAPIService:
    """The same service with another pool of its own database."""
    pool = service.spec.database.pool
    pool = pool.model_copy(update={"size": size, "max_overflow": pool.max_overflow if overflow is None else overflow})
    database = service.spec.database.model_copy(update={"pool": pool})
    return service.model_copy(update={"spec": service.spec.model_copy(update={"database": database})})


def largest_pool(case: Case) -> int:
    """The largest pool, with maxOverflow 0, with which the service fits; 0 where none does."""
    return largest(low=1, high=LARGEST_POOL, fits=lambda size: case.but_pool(size).fits)


def why_not_obvious(service: FastAPIService) -> str:
    """Names the usual miscount where it applies: that a pool belongs to a process, and that overflow counts."""
    pool, count = service.spec.database.pool, processes(service.spec.web)
    if not pool.max_overflow:
        return ""
    return (
        f" One pod looks like {count} × {pool.size} = {count * pool.size}, but every process has its own pool and"
        f" max_overflow opens connections too: {count} × ({pool.size} + {pool.max_overflow}) ="
        f" {count * (pool.size + pool.max_overflow)}."
    )


def what_would_fit(case: Case) -> str:
    """The cheapest edits with which the service would fit, in all of its budgets."""
    if case.ledger.capacity is not None and not case.ledger.capacity:
        return f"Budget {case.key} has nothing to give: lower what it holds back, or raise the server's limit."
    spec, ways = case.service.spec, []
    one_by_one = spec.rollout.model_copy(update={"max_surge": 0, "max_unavailable": 1})
    if spec.rollout.max_surge and case.but(rollout=one_by_one).fits:
        ways.append("rollout.maxSurge 0 with maxUnavailable 1")
    single = case.but(web=spec.web.model_copy(update={"workers": 1}))
    if size := largest_pool(case):
        ways.append(case.pool_words(size))
    elif processes(spec.web) > 1 and (size := largest_pool(single)):
        ways.append(f"web.workers 1 and {case.pool_words(size)}")
    if ways:
        return f"What would fit: {', or '.join(ways)}."
    if over := case.over_beside:
        return f"It does not fit into {' and '.join(map(str, over))} either."
    if case.beside:
        return "Use smaller pools, fewer replicas or job workers, or free connections elsewhere."
    return "No pool is small enough: use fewer replicas or job workers, or free connections elsewhere."


def who_holds(service: FastAPIService, *, ledger: Ledger) -> str:
    """The largest of the others' claims."""
    others = [claim for claim in ledger.claims if claim.uid != service.metadata.uid]
    others.sort(key=lambda claim: (-claim.connections.count, claim.namespace, claim.name))
    named = [f"{claim.connections} by {claim.namespace}/{claim.name}" for claim in others[:_NAMED_HOLDERS]]
    if more := len(others) - len(named):
        named.append(f"the rest by {more} more")
    if ledger.elsewhere:
        named.append(f"{ledger.elsewhere} in other budgets of the same server")
    return f" Held: {', '.join(named)}." if named else ""


def needs(wanted: Demand) -> str:
    """What is asked for, term by term."""
    return f"Needs {wanted.connections} connections: {wanted}."


def has_free(key: BudgetKey, *, ledger: Ledger, want: Want) -> str:
    """What there is for it, and what became of the rest."""
    less = ((ledger.margin_for(want), "margin"), (ledger.held_by_others(want.uid), "held by others"))
    terms = "".join(f" − {count} {label}" for count, label in less if count)
    return f"Budget {key} has {ledger.room_for(want)} free for it: {ledger.capacity or 0}{terms}."


def over_budget(case: Case, *, want: Want) -> str:
    """Why a service is refused: the sum, what is free, who holds the rest, why it is not obvious, what would fit."""
    service, ledger, wanted = case.service, case.ledger, case.wanted
    floor = ""
    if service.spec.when_over is WhenOver.SHRINK_POOL:
        pool = service.spec.database.pool
        floor = f" Not even a pool of {floor_of(pool.size, pool.min_size)}, its smallest, fits."
    beyond = want.connections.minus(wanted.connections)
    more = (
        f" Another {beyond} are counted for pods that open more than they declare, or have yet to go." if beyond else ""
    )
    return (
        f"{needs(wanted)}{more} {has_free(case.key, ledger=ledger, want=want)}{who_holds(service, ledger=ledger)}"
        f"{floor}{why_not_obvious(service) if case.is_own else ''} {what_would_fit(case)}"
    )


def beside_what_runs(wanted: Demand, *, stands: Connections, migration: Connections, grant: Grant) -> str:
    """Why a service that would fit cannot get there from where it is."""
    return (
        f"Needs {wanted.connections} connections, which fit, but not beside what runs: {stands} and {migration} for the"
        f" migration, with {grant.free} free for it. Change the pods first, and add the migration after that."
    )
