"""How large a pool may be: ``fit``, for services that would rather shrink than be refused.

Between demand and ledger in the flow: whether one size is admitted is asked of the ledger, this module only searches.

A pool that follows every connection that comes free would roll the service out again and again. So a running service
keeps the pool that it has unless it must shrink, can have all it asks for, or can have a good deal more; and it grows
only after it has rested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

REST_SECONDS: Final = 60
"""How long a pool stays as it is before it may grow."""

_WORTH_IT: Final = 4
"""A quarter of what is asked for is a good deal more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """Pool sizes that are asked for.

    Attributes:
        size: what would be best.
        floor: what is still worth running.
        current: what the service has; 0 where it has none yet.
        rested: whether it has had that for long enough to grow.
    """

    size: int
    floor: int
    current: int = 0
    rested: bool = True


def floor_of(size: int, min_size: int | None) -> int:
    """The smallest pool that is still worth running: as declared, or half of ``size``, rounded up."""
    return min_size if min_size is not None else (size + 1) // 2


def largest(*, low: int, high: int, fits: Callable[[int], bool]) -> int:
    """The largest number of [low, high] that fits, and 0 where not even ``low`` does; what fits, fits smaller too."""
    if low > high or not fits(low):
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def fit(wish: Wish, *, fits: Callable[[int], bool]) -> int:
    """The pool that a service gets now; 0 where not even its floor fits."""
    best = largest(low=wish.floor, high=wish.size, fits=fits)
    kept = wish.current if wish.floor <= wish.current <= wish.size else 0
    if not kept or best <= kept:
        return best
    worth_it = best == wish.size or best - kept >= max(1, wish.size // _WORTH_IT)
    return best if wish.rested and worth_it else kept
