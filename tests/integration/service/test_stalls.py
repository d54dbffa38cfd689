"""A blocked event loop in real processes, under uvloop and asyncio: named while it lasts, and not before."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from integration.service.blocking import BLOCKING
from integration.service.test_metrics import scrape
from integration.service.test_workers import ended, enqueue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.service.programs import Database, Program, Start, Web

pytestmark = pytest.mark.integration


def told(program: Program, message: str) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(program.saw(f'{{.*"message": "{message}".*}}')[0])
    return line


def test_a_handler_of_a_web_process(serve: Callable[..., Web], tmp_path: Path) -> None:
    web = serve(app="integration.service.blocking:app")
    gate = tmp_path / "gate"
    with ThreadPoolExecutor(1) as other:
        asking = other.submit(web.get, "/blocking", params={"gate": str(gate)}, headers={"x-request-id": "slow-one"})
        first = told(web.program, "event loop blocked")
        with pytest.raises(httpx2.TimeoutException):
            httpx2.get(f"http://127.0.0.1:{web.port}/healthz", timeout=0.5)
        assert not asking.done()
        gate.touch()
        assert asking.result().json() is True
    assert first["handler"] == "integration.service.blocking.handler"
    assert (first["route"], first["request_id"], first["level"]) == ("/blocking", "slow-one", "warning")
    assert first["at"].partition(":")[0].endswith("integration/service/blocking.py")
    last = told(web.program, "event loop free again")
    assert last["handler"] == first["handler"]
    assert last["seconds"] >= 0.5
    said = scrape(f"http://127.0.0.1:{web.port}/metrics")
    assert said["plimsoll_loop_stalls_total{integration.service.blocking.handler}"] == 1
    assert said["plimsoll_loop_stall_seconds_total{integration.service.blocking.handler}"] >= 0.5


def test_a_step_of_a_worker(start: Start, database: Database, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    worker = start("work", "integration.service.blocking:jobs", PLIMSOLL_JOB_LEASE_SECONDS="60")
    worker.saw("worker started")
    job = enqueue(database, BLOCKING, {"gate": str(gate)})
    assert told(worker, "event loop blocked")["handler"] == "integration.service.blocking.step"
    gate.touch()
    assert ended(database, job).status == "succeeded"
