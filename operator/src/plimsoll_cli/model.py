"""A plan as it is printed: budgets, the services in them, and what becomes of each. Every output is made from this."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plimsoll.api.meta import BudgetKey
    from plimsoll.budget.capacity import Capacity, ServerFacts


class State(StrEnum):
    """What becomes of a service."""

    HELD = "held already"
    FITS = "fits"
    SHRUNK = "fits with a smaller pool"
    WAITS = "fits here, but is refused"
    OVER = "over the line"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One service in one budget."""

    service: BudgetKey
    state: State
    connections: int
    terms: tuple[str, ...]
    """How that number comes about, workload by workload."""

    before: int = 0
    """What it holds already."""

    @property
    def is_refused(self) -> bool:
        """Whether it is not let in; it then holds what it did."""
        return self.state in {State.OVER, State.WAITS}

    @property
    def holds(self) -> int:
        """What it holds in the end."""
        return self.before if self.is_refused else self.connections


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetPlan:
    """One budget, when everything that fits has been let in."""

    key: BudgetKey
    facts: ServerFacts | None
    """``None`` where no reading of its server counts."""

    capacity: Capacity | None
    provider_reserved: int
    margin: int
    margin_of: str
    """Where the margin comes from."""

    usable: int
    claimed: int
    elsewhere: int
    shared_with: tuple[str, ...]
    free: int
    rows: tuple[Row, ...]

    @property
    def is_overcommitted(self) -> bool:
        """Whether more is claimed than the server gives: it gives less than it did, or the budget holds more back."""
        return self.capacity is not None and self.claimed + self.elsewhere > self.usable

    @property
    def is_over(self) -> bool:
        """Whether that is so, or a service does not fit into it."""
        return self.is_overcommitted or any(row.state is State.OVER for row in self.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicePlan:
    """One service of the input."""

    service: BudgetKey
    state: State
    pool: int
    pool_asked: int
    message: str
    """Why it is refused, and the cheapest fix; empty where it is not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that is printed."""

    budgets: tuple[BudgetPlan, ...]
    services: tuple[ServicePlan, ...]
    warnings: tuple[str, ...] = field(default=())

    @property
    def is_over(self) -> bool:
        """Whether something is over the line."""
        return any(budget.is_over for budget in self.budgets) or any(
            service.state is State.OVER for service in self.services
        )
