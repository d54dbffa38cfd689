"""From what a load and a play wrote down to figures: what failed, and how slow the slowest hundredth was, and when."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.loadgen.tally import milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Scene:
    """What was done meanwhile, from when to when; seconds since the epoch."""

    what: str
    start: float
    end: float


@dataclass(frozen=True)
class Second:
    """The short POSTs that were answered in one second before ``at``: bucket of the latency → how many."""

    at: float
    latencies: Counter[int]


def seconds(lines: Iterable[dict[str, Any]]) -> list[Second]:
    """The seconds of a load, from the lines that it printed; the first says when it started."""
    every = list(lines)
    started = float(every[0]["started"])
    return [
        Second(started + line["at"], Counter({int(key): count for key, count in line["latencies"].items()}))
        for line in every
        if "latencies" in line
    ]


def p99(told: Iterable[Second], scenes: Sequence[Scene] | None = None) -> float:
    """99th percentile of the latencies, in milliseconds, of the seconds that lie within one of the scenes, or of all.

    Raises:
        ValueError: nothing was answered in them.
    """
    together: Counter[int] = Counter()
    for second in told:
        if scenes is None or any(scene.start <= second.at - 1 and second.at <= scene.end for scene in scenes):
            together.update(second.latencies)
    if not together:
        raise ValueError("no request was answered in that time")
    rank, passed = math.ceil(0.99 * together.total()), 0
    for number in sorted(together):
        passed += together[number]
        if passed >= rank:
            break
    return milliseconds(number)


def figures(report: dict[str, Any], told: list[Second], scenes: Sequence[Scene]) -> dict[str, float]:
    """What the bench writes.

    ``lost`` was acknowledged and is not stored, or is a job that did not end; ``doubled`` is stored though it was not
    acknowledged, or is a job whose effect came about more than once. As many rows with other ids are one of each.
    """
    others = int(report["stored"] == report["to_be_stored"] and not report["same_ids"])
    quiet = [scene for scene in scenes if scene.what == "steady"]
    restless = [scene for scene in scenes if scene.what == "rollout"]
    found: dict[str, float] = {
        "requests": report["sent"],
        "rollouts": len(restless),
        "failed": sum(report["failed"].values()),
        "lost": max(0, report["to_be_stored"] - report["stored"]) + others + report["jobs_lost"],
        "doubled": max(0, report["stored"] - report["to_be_stored"]) + others + report["jobs_doubled"],
        "jobs": report["jobs"],
        "longest_gap_s": report["longest_gap_seconds"],
    }
    if quiet and restless:
        found["p99_steady_ms"] = round(p99(told, quiet), 1)
        found["p99_rollouts_ms"] = round(p99(told, restless), 1)
        found["p99_ratio"] = round(found["p99_rollouts_ms"] / found["p99_steady_ms"], 2)
    if beside := [scene for scene in scenes if scene.what == "neighbour's rollout"]:
        found["p99_neighbour_ms"] = round(p99(told, beside), 1)
    return found
