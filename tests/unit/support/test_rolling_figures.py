"""The figures of a rollout are what its load wrote down."""

from __future__ import annotations

import math

import pytest
from support.loadgen.tally import bucket, milliseconds
from support.rolling_figures import Scene, figures, p99, seconds

LINES = [
    {"started": 1000.0, "to": {}},
    {"at": 1.0, "latencies": {str(bucket(2)): 99, str(bucket(50)): 1}},
    {"at": 2.0, "latencies": {str(bucket(10)): 98, str(bucket(80)): 2}},
    {"at": 3.0, "latencies": {}},
    {"sent": 203},
]
REPORT = {
    "sent": 203,
    "failed": {"reset": 2, "timeout": 1},
    "stored": 200,
    "to_be_stored": 200,
    "same_ids": True,
    "jobs": 5,
    "jobs_lost": 0,
    "jobs_doubled": 0,
    "longest_gap_seconds": 1.5,
}


@pytest.mark.parametrize("value", [0.05, 0.1, 1.0, 7.3, 99.9, 12_345.0])
def test_a_bucket_holds_what_is_within_five_percent_below_its_end(value: float) -> None:
    end = milliseconds(bucket(value))
    assert value <= end * (1 + 1e-9)
    assert end <= max(0.1, value * 1.05 * (1 + 1e-9))


def test_the_percentile_is_that_of_the_seconds_within_the_scenes() -> None:
    told = seconds(LINES)
    assert p99(told, [Scene("steady", 1000, 1001)]) == milliseconds(bucket(2))
    assert p99(told, [Scene("rollout", 1001, 1002.5)]) == milliseconds(bucket(80))
    assert p99(told) == milliseconds(bucket(50)), "197 of 200 are faster, and the 198th is this one"


def test_a_second_that_lies_only_in_part_within_a_scene_is_of_none() -> None:
    with pytest.raises(ValueError, match="no request was answered"):
        p99(seconds(LINES), [Scene("steady", 1000.5, 1001.9)])


def test_figures_tell_steady_times_from_rollouts() -> None:
    scenes = [Scene("steady", 1000, 1001), Scene("rollout", 1001, 1002)]
    found = figures(REPORT, seconds(LINES), scenes)
    assert (found["requests"], found["rollouts"], found["failed"]) == (203, 1, 3)
    assert math.isclose(found["p99_ratio"], 40, rel_tol=0.06)
    assert "p99_neighbour_ms" not in found


def test_a_neighbours_rollouts_are_neither_steady_nor_rollouts() -> None:
    scenes = [Scene("steady", 1000, 1001), Scene("neighbour's rollout", 1001, 1002)]
    found = figures(REPORT, seconds(LINES), scenes)
    assert found["p99_neighbour_ms"] == round(milliseconds(bucket(80)), 1)
    assert (found["rollouts"], "p99_ratio" in found) == (0, False)


@pytest.mark.parametrize(
    ("change", "lost", "doubled"),
    [
        ({"stored": 198}, 2, 0),
        ({"stored": 201}, 0, 1),
        ({"same_ids": False}, 1, 1),
        ({"jobs_lost": 1}, 1, 0),
        ({"jobs_doubled": 2}, 0, 2),
    ],
)
def test_what_is_lost_and_what_is_doubled(change: dict[str, int], lost: int, doubled: int) -> None:
    found = figures(REPORT | change, seconds(LINES), [])
    assert (found["lost"], found["doubled"]) == (lost, doubled)
