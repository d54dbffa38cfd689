"""The load line as geometry: what stands where on the bar of one budget, from left to right. Pure numbers and words.

    claims of services | other budgets | free | THE LINE | margin | operator | clients | reserve | beyond | server's own

Claims end at the line; what was claimed beyond it (a server that gives less than it did) and what is refused gets a red
bar of its own beneath, which starts where the room for it starts and runs on over the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from plimsoll_cli.model import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll_cli.model import BudgetPlan

COLOURS: Final = (
    "#0f766e",
    "#2563eb",
    "#b45309",
    "#7c3aed",
    "#4d7c0f",
    "#c026d3",
    "#0369a1",
    "#a16207",
    "#15803d",
    "#5b5bd6",
    "#db2777",
    "#0e7490",
)
"""One per service; each is read under white letters, and seen on a white and on a dark page. Red is for the line."""


class Part(Enum):
    """What a stretch of the bar stands for, which decides how it is filled."""

    CLAIM = "claim"
    ELSEWHERE = "elsewhere"
    FREE = "free"
    MARGIN = "margin"
    KEPT = "kept"
    BEYOND = "beyond"
    SERVER = "server"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A part of the bar, in connections."""

    part: Part
    label: str
    start: int
    count: int
    colour: str = ""
    """Of a claim; the others have the colour of their part."""

    @property
    def end(self) -> int:
        """Where the next one starts."""
        return self.start + self.count


@dataclass(frozen=True, kw_only=True, slots=True)
class Excess:
    """A red bar: what there is no room for."""

    label: str
    start: int
    count: int

    @property
    def end(self) -> int:
        """How far it reaches."""
        return self.start + self.count


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One budget, to be drawn."""

    line: int
    most: int
    """The server's max_connections, or more where what is held back comes to more."""

    stretches: tuple[Stretch, ...]
    excess: tuple[Excess, ...]


def bar(budget: BudgetPlan) -> Bar:
    """What is where; of a budget without a reading there is nothing to draw but what it refuses."""
    stretches = tuple(_stretches(budget))
    most = max((each.end for each in stretches), default=1)
    return Bar(line=budget.usable, most=most, stretches=stretches, excess=tuple(_excess(budget)))


def colours(budget: BudgetPlan) -> tuple[str, ...]:
    """The colour of each of its rows."""
    return tuple(COLOURS[index % len(COLOURS)] for index in range(len(budget.rows)))


def _stretches(budget: BudgetPlan) -> Iterator[Stretch]:
    at = 0
    for row, colour in zip(budget.rows, colours(budget), strict=True):
        if count := min(row.holds, max(0, budget.usable - at)):
            yield Stretch(part=Part.CLAIM, label=str(row.service), start=at, count=count, colour=colour)
            at += count
    if count := min(budget.elsewhere, max(0, budget.usable - at)):
        yield Stretch(part=Part.ELSEWHERE, label="other budgets", start=at, count=count)
        at += count
    if at < budget.usable:
        yield Stretch(part=Part.FREE, label="free", start=at, count=budget.usable - at)
        at = budget.usable
    for part, label, count in _held_back(budget):
        if count > 0:
            yield Stretch(part=part, label=label, start=at, count=count)
            at += count


def _held_back(budget: BudgetPlan) -> Iterator[tuple[Part, str, int]]:
    facts, capacity = budget.facts, budget.capacity
    if facts is None or capacity is None:
        return
    # A margin that is more than there is takes all there is.
    yield Part.MARGIN, "margin", min(budget.margin, capacity.connections.count)
    left = capacity.ceiling.count
    for count, label in reversed(capacity.deductions):
        yield Part.KEPT, label, min(count.count, left)
        left = max(0, left - count.count)
    server = facts.superuser_reserved + facts.reserved + budget.provider_reserved
    yield Part.BEYOND, f"beyond {capacity.binding}", facts.max_connections - server - capacity.ceiling.count
    yield Part.SERVER, "providerReserved", budget.provider_reserved
    yield Part.SERVER, "reserved_connections", facts.reserved
    yield Part.SERVER, "superuser_reserved_connections", facts.superuser_reserved


def _excess(budget: BudgetPlan) -> Iterator[Excess]:
    taken = budget.claimed + budget.elsewhere
    if budget.is_overcommitted:
        label = f"{taken} claimed: {taken - budget.usable} over the line"
        yield Excess(label=label, start=budget.usable, count=taken - budget.usable)
    for row in budget.rows:
        if row.state is State.OVER:
            start = taken - row.holds
            over = start + row.connections - budget.usable
            label = f"{row.service} asks for {row.connections}"
            yield Excess(
                label=f"{label}: {over} over the line"
                if over > 0
                else f"{label}: no room beside the margin for its own pods",
                start=start,
                count=row.connections,
            )
