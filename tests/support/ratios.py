"""How sure is a ratio that was measured in rounds?"""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RESAMPLES = 4000


@dataclass(frozen=True)
class Ratio:
    """The median of the rounds' ratios, with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def figures(self, name: str) -> dict[str, float]:
        """As a bench publishes it."""
        return {
            name: round(self.value, 3),
            f"{name}_low": round(self.low, 3),
            f"{name}_high": round(self.high, 3),
        }


def ratio(ratios: Sequence[float]) -> Ratio:
    """Of the ratios of all rounds; the interval by bootstrap over the rounds."""
    dice = random.Random(0)  # noqa: S311 - the same interval for the same measurements
    medians = sorted(statistics.median(dice.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    tail = round(RESAMPLES * 0.025)
    return Ratio(statistics.median(ratios), medians[tail], medians[-tail - 1])
