"""Jobs for the tests, imported by test and worker alike. Gates are files: a step waits for the test, not for time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path
from typing import Literal

from plimsoll_runtime.incoming import Incoming
from plimsoll_runtime.jobs.model import JobKind, Json, PermanentError, Registry, Step, StepInput


def gated(step: StepInput) -> Json:
    """Write who we are, start a grandchild, and wait for the gate."""
    folder = Path(step.input["folder"])
    with subprocess.Popen(["sleep", "600"]) as grandchild:
        (folder / f"attempt-{step.attempt}").write_text(f"{os.getpid()} {grandchild.pid}")
        while not (folder / "gate").exists():
            time.sleep(0.02)
        grandchild.kill()
    return {
        "attempt": step.attempt,
        "secrets": [os.environ.get(name) for name in ("DATABASE_URL", "PLIMSOLL_TOKEN_SECRET")],
        "tmp": os.environ["TMPDIR"],
    }


def fail(step: StepInput) -> Json:
    print("printed by the step")  # noqa: T201 - libraries do, and it must not get between the result's lines
    if step.input["how"] == "permanent":
        raise PermanentError("no use")
    if step.input["how"] == "die":
        os.abort()
    raise ValueError("again, please")


async def threaded(step: StepInput) -> Json:
    """Not in a child, and in a thread that outlasts everybody's patience."""
    (Path(step.input["folder"]) / f"attempt-{step.attempt}").write_text(f"{os.getpid()}")
    await asyncio.to_thread(time.sleep, 600)
    return {}


async def noop(step: StepInput) -> Json:
    return {"saw": sorted(step.results)}


GATED = JobKind("test.gated", (Step("wait", run=gated, max_attempts=3),))


class How(Incoming):
    how: Literal["again", "permanent", "die"]


FAILING = JobKind("test.failing", (Step("fail", run=fail, max_attempts=2),), input=How)
WIDE = JobKind(
    "test.wide",
    (
        *(Step(f"part-{n}", run=noop) for n in range(8)),
        Step("join", run=noop, needs=tuple(f"part-{n}" for n in range(8))),
    ),
)

THREADED = JobKind("test.threaded", (Step("wait", run=threaded),))

jobs = Registry(GATED, FAILING, WIDE, THREADED)
