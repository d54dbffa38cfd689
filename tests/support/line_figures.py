"""Figures of the line: how close what is open came to what is claimed.

Claims and connections are read by two clocks that cannot tick together, so a sample is compared with the largest claim
of a short while around it. That is no excuse for what is over the line: a claim is written before a pod of it is made
and taken back after the last is gone, which is a matter of seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SLACK_SECONDS = 0.5
ALL = "all together"
STRANGERS = "strangers"
"""Connections whose name is no service's; they count for all together."""


@dataclass(frozen=True)
class Moment:
    """Connections by service, at one time."""

    at: float
    by: dict[str, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by.values())


@dataclass(frozen=True)
class Worst:
    """The sample that came closest to its claim, or went furthest over it."""

    ratio: float = 0.0
    service: str = ""
    open: int = 0
    claimed: int = 0
    at: float = 0.0


def around(claims: Sequence[Moment], at: float) -> Sequence[Moment]:
    """The states of the ledger that held at a moment, give or take the slack."""
    times = [each.at for each in claims]
    first = max(0, bisect_right(times, at - SLACK_SECONDS) - 1)
    return claims[first : max(first + 1, bisect_right(times, at + SLACK_SECONDS))]


def peak_over_claim(samples: Sequence[Moment], claims: Sequence[Moment]) -> Worst:
    """The largest ratio of open to claimed connections, over each service and over all together."""
    worst = Worst()
    for sample in samples:
        held = around(claims, sample.at)
        counts = {service: count for service, count in sample.by.items() if count and service != STRANGERS}
        if sample.total:
            counts[ALL] = sample.total
        for service, count in counts.items():
            claimed = max(each.total if service == ALL else each.by.get(service, 0) for each in held)
            ratio = count / claimed if claimed else math.inf
            if ratio > worst.ratio:
                worst = Worst(ratio, service, count, claimed, sample.at)
    return worst


def peak_over_granted(samples: Sequence[Moment], claims: Sequence[Moment]) -> float:
    """The largest share of all that was granted that was in use at once."""
    return max(sample.total / max(each.total for each in around(claims, sample.at)) for sample in samples)


def hertz(samples: Sequence[Moment]) -> float:
    """How often a second was sampled."""
    return (len(samples) - 1) / (samples[-1].at - samples[0].at)
