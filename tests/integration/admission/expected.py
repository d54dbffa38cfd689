"""What the Python core says of a request, in the policy's words: what the CEL has to agree with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from integration.admission.stage import NAMESPACES
from plimsoll import explain
from plimsoll.accounts import ledger_of
from plimsoll.api.admission import LONGEST_ARITHMETIC
from plimsoll.api.budgetstatus import ServerStatus
from plimsoll.api.fastapiservice import FastAPIService, WhenOver
from plimsoll.budget.demand import demand
from plimsoll.budget.fit import floor_of
from plimsoll.budget.ledger import Ledger, Want
from plimsoll.explain import has_free, needs, with_pool
from plimsoll.observed import Observed
from plimsoll.obstacles import closed
from plimsoll.units import Connections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.meta import BudgetKey, Manifest

_NOW: Final = "2026-01-01T12:00:00Z"


@dataclass(frozen=True, slots=True)
class Case:
    """One request: a service as it shall be, and as it is, where it is there already."""

    manifest: Manifest
    before: Manifest | None
    service: FastAPIService
    old: FastAPIService | None

    @classmethod
    def of(cls, manifest: Manifest, old: Manifest | None = None) -> Case:
        model = FastAPIService.model_validate
        return cls(manifest, old, model(manifest), model(old) if old else None)

    @property
    def least(self) -> FastAPIService:
        return _least(self.service)


def _least(service: FastAPIService) -> FastAPIService:
    """The service with the smallest pool that it would still run with."""
    if service.spec.when_over is not WhenOver.SHRINK_POOL:
        return service
    pool = service.spec.database.pool
    return with_pool(service, size=floor_of(pool.size, pool.min_size))


def want_of(service: FastAPIService, key: BudgetKey) -> Want:
    wanted = demand(service, key)
    return Want(uid=service.metadata.uid, connections=wanted.connections, per_pod=wanted.per_pod)


@dataclass(frozen=True, slots=True)
class Known:
    """A budget, and the operator's ledger of it right after a reading; other budgets' claims are as the status says."""

    budget: ConnectionBudget
    ledger: Ledger

    @classmethod
    def of(cls, budget: ConnectionBudget) -> Known:
        status = budget.status.model_copy(update={"server": ServerStatus(observed_time=_NOW)})
        ledger = ledger_of(budget.model_copy(update={"status": status}), now=_NOW)
        return cls(budget, replace(ledger, elsewhere=Connections(budget.status.claimed_elsewhere or 0)))


def refusals(case: Case, budgets: Mapping[BudgetKey, Known]) -> Iterator[str]:
    """Why it is refused, budget by budget; nothing where it is admitted."""
    for key in case.service.budget_keys:
        known = budgets.get(key)
        if known and (sentence := _not_allowed(case, known.budget) or _does_not_fit(case, key, known.ledger)):
            yield sentence


def _not_allowed(case: Case, budget: ConnectionBudget) -> str:
    if case.old and budget.key in case.old.budget_keys:
        return ""
    labels = NAMESPACES[case.service.metadata.namespace]
    labels = labels | {"kubernetes.io/metadata.name": case.service.metadata.namespace}
    observed = Observed(service=case.service, budgets=(budget,), namespace_labels=labels, now=_NOW)
    findings = closed(observed, budget.key)
    return findings[0].message if findings else ""


def _does_not_fit(case: Case, key: BudgetKey, ledger: Ledger) -> str:
    least = want_of(case.least, key)
    least = replace(least, settled=ledger.held_by(least.uid))  # what it holds already it may ask for
    if ledger.capacity is None or ledger.grant(least).admitted:
        return ""
    if case.old and least.connections <= demand(_least(case.old), key).connections:
        return ""
    wanted, want = demand(case.service, key), want_of(case.service, key)
    words = [needs(wanted), has_free(key, ledger=ledger, want=want)]
    if len(arithmetic := str(wanted)) > LONGEST_ARITHMETIC:
        words[0] = words[0].replace(arithmetic, f"{arithmetic[:LONGEST_ARITHMETIC]}…")
    if case.service.spec.when_over is WhenOver.SHRINK_POOL:
        pool = case.service.spec.database.pool
        words.append(f"Not even a pool of {floor_of(pool.size, pool.min_size)}, its smallest, fits.")
    return " ".join(words)


def explained(case: Case, key: BudgetKey, ledger: Ledger) -> str:
    """The operator's whole explanation of why it does not fit."""
    refused = explain.Case(service=case.service, key=key, ledger=ledger)
    return explain.over_budget(refused, want=want_of(case.service, key))
