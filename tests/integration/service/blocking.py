"""An app and a job that block their event loop until the test lets them go; a gate is a file, as elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from plimsoll_runtime.jobs.model import JobKind, Registry, Step

if TYPE_CHECKING:
    from plimsoll_runtime.jobs.model import Json, StepInput

app = FastAPI()


def wait_for(gate: Path) -> None:
    while not gate.exists():
        time.sleep(0.02)


@app.get("/blocking")
async def handler(gate: str) -> bool:
    wait_for(Path(gate))
    return True


async def step(given: StepInput) -> Json:
    wait_for(Path(given.input["gate"]))
    return {}


BLOCKING = JobKind("test.blocking", (Step("block", run=step),))
jobs = Registry(BLOCKING)
