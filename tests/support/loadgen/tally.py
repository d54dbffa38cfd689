"""What became of the requests: counted by kind of request and kind of failure; latencies second by second.

Latencies go into buckets that are 5 % apart: any seconds can be joined, and their 99th percentile is still known.
"""

from __future__ import annotations

import collections
import hashlib
import math
import time
from dataclasses import dataclass, field

MODULUS = 2**60
DIGESTS = "coalesce(sum(('x' || substr(md5(id::text), 1, 15))::bit(60)::bigint), 0) % 1152921504606846976"
"""The checksum of the rows of a table with ids, in SQL."""

STEP = 1.05
"""Upper end of a latency's bucket over its lower end."""


def digest(identity: str) -> int:
    """What an id adds to the checksum; PostgreSQL can compute it as well (``DIGESTS``)."""
    return int(hashlib.md5(identity.encode(), usedforsecurity=False).hexdigest()[:15], 16)


def bucket(milliseconds: float) -> int:
    """Number of a latency's bucket."""
    return max(0, math.ceil(math.log(max(milliseconds, 0.01) / 0.1, STEP)))


def milliseconds(number: int) -> float:
    """Upper end of a bucket."""
    return 0.1 * STEP**number


@dataclass
class Tally:
    """Requests of one kind."""

    sent: int = 0
    acknowledged: int = 0
    failed: collections.Counter[str] = field(default_factory=collections.Counter)


@dataclass
class Book:
    """All that is counted."""

    began: float = field(default_factory=time.monotonic)
    tallies: collections.defaultdict[str, Tally] = field(default_factory=lambda: collections.defaultdict(Tally))
    failures: list[dict[str, object]] = field(default_factory=list)
    latencies: collections.Counter[int] = field(default_factory=collections.Counter)
    """Of the current second, by bucket."""

    stored: int = 0
    """Acknowledged requests of which the database must hold a row."""

    checksum: int = 0
    """Of the ids of these rows, whatever their order; ``digest`` tells how."""

    last_success: float = 0.0
    longest_gap: tuple[float, float] = (0.0, 0.0)
    """Longest time between two answers, and when it began; in seconds since the start."""

    late: float = 0.0
    """The most by which a request began after its time: the generator's own weakness."""

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def failure(self, kind: str, why: str, *, begun: float) -> None:
        """One request failed."""
        self.tallies[kind].failed[why] += 1
        if len(self.failures) < 100:
            seconds = round(self.now() - begun, 3)
            self.failures.append({"request": kind, "why": why, "at": round(begun, 3), "seconds": seconds})

    def success(self, kind: str, stored: str | None = None) -> None:
        """One request was answered as it should be; ``stored`` is the id of the row that must be there now."""
        self.tallies[kind].acknowledged += 1
        if stored is not None:
            self.stored += 1
            self.checksum = (self.checksum + digest(stored)) % MODULUS
        now = self.now()
        self.longest_gap = max(self.longest_gap, (now - self.last_success, self.last_success))
        self.last_success = now

    def latency(self, seconds: float) -> None:
        """How long after its time a request was answered."""
        self.latencies[bucket(seconds * 1000)] += 1

    def second(self) -> dict[str, object]:
        """The latencies since the last call."""
        line = {"at": round(self.now(), 1), "latencies": dict(self.latencies)}
        self.latencies.clear()
        return line

    def total(self, what: str) -> int:
        """A sum over all kinds of requests."""
        return sum(getattr(tally, what) for tally in self.tallies.values())

    def failed(self) -> dict[str, int]:
        """Failures of all kinds of requests, by kind of failure."""
        return dict(sum((tally.failed for tally in self.tallies.values()), collections.Counter[str]()))
