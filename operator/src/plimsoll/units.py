"""The unit that everything is counted in: connections to a PostgreSQL server.

Sits at the bottom of the core; everything else builds on it. A bare ``int`` could be pods, processes or seconds; a
``Connections`` can only be added to its like or multiplied by a count of things that each hold as many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, order=True, slots=True)
class Connections:
    """A number of connections, never negative."""

    count: int

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"{self.count} connections: a number of connections is never negative")

    def __add__(self, other: Connections) -> Connections:
        return Connections(self.count + other.count)

    def __mul__(self, times: int) -> Connections:
        return Connections(self.count * times)

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        return str(self.count)

    def minus(self, other: Connections) -> Connections:
        """What is left after ``other``, and nothing where nothing is left: room is never a debt."""
        return Connections(max(0, self.count - other.count))


NONE = Connections(0)


def total(parts: Iterable[Connections]) -> Connections:
    """The sum of ``parts``."""
    return Connections(sum(part.count for part in parts))
