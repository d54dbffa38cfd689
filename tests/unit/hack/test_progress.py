"""The step runner of hack/: numbers, failures in the background, recovery of the sentence."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PREAMBLE = """
set -euo pipefail
run_name=trial
. "$1/hack/lib/common.sh"
progress_start 3
works() { echo to the log; }
idle() { kept "as it was"; }
breaks() { echo the compiler said no; false; echo not reached; }
speaks() { die "the tank is empty: fill it"; }
slow() { sleep 30; }
"""


def run(script: str, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", PREAMBLE + script, "trial", ROOT],
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PLIMSOLL_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_steps_are_numbered_and_what_they_did_is_told_apart(tmp_path: Path) -> None:
    result = run('step "first" works; step "second" idle', tmp_path)
    assert result.returncode == 0
    assert "[1/3] first: done in" in result.stdout
    assert "[2/3] second: as it was" in result.stdout
    assert (tmp_path / "log/first.log").read_text() == "to the log\n"
    timings = json.loads((tmp_path / "timings.json").read_text())
    assert set(timings) == {"first", "trial"}, "a step with nothing to do has no time worth keeping"


def test_a_broken_step_shows_the_end_of_its_log_and_ends_the_run(tmp_path: Path) -> None:
    result = run('step "first" breaks; step "second" works', tmp_path)
    assert result.returncode == 1
    assert 'error: step "first" failed' in result.stdout
    assert "the compiler said no" in result.stdout
    assert "not reached" not in result.stdout
    assert "second" not in result.stdout


def test_a_step_that_knows_why_it_breaks_says_only_that(tmp_path: Path) -> None:
    result = run('step "first" speaks', tmp_path)
    assert result.returncode == 1
    assert "error: the tank is empty: fill it\n" in result.stdout
    assert "log" not in result.stdout


@pytest.mark.parametrize("order", ["lane left; lane right", "lane right; lane left"])
def test_a_broken_lane_ends_the_others(tmp_path: Path, order: str) -> None:
    started = time.monotonic()
    result = run(f'left() {{ step "left" slow; }}; right() {{ step "right" speaks; }}; {order}; join_lanes', tmp_path)
    assert result.returncode == 1
    assert result.stdout.count("error: ") == 1
    assert time.monotonic() - started < 10


def test_lanes_that_end_well_are_waited_for(tmp_path: Path) -> None:
    result = run(
        'left() { step "left" works; }; right() { step "right" idle; }; lane left; lane right; join_lanes; say on',
        tmp_path,
    )
    assert result.returncode == 0
    assert result.stdout.endswith("on\n")
