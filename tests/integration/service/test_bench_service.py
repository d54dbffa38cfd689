"""`make bench-service` measures: a few requests of it, unpublished."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

RATIOS = ("cpu_ratio", "control_cpu_ratio", "empty_cpu_ratio")


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="server and client need a core each")
def test_a_few_rounds_have_all_figures() -> None:
    """That both answer the same bytes is among what it checks itself."""
    command = [sys.executable, "-m", "bench.service", "--no-record", "--rounds=2", "--requests=40"]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}  # where bench.service is
    done = subprocess.run(command, env=env, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout[done.stdout.index("{") :])
    assert figures["throughput_ratio"] > 0
    for name in RATIOS:
        assert 0 < figures[f"{name}_low"] <= figures[name] <= figures[f"{name}_high"]
