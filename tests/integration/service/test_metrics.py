"""What Prometheus is told by real processes: one, several, and workers."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import psycopg
import pytest
from integration.service.job_kinds import FAILING, WIDE
from integration.service.programs import Server
from integration.service.test_workers import Gate, ended, enqueue
from prometheus_client.parser import text_string_to_metric_families
from support.eventually import eventually
from support.tokens import bearer

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.service.programs import Database, Start, Web

pytestmark = pytest.mark.integration

TESTS = Path(__file__).parents[2]
"""Where this package is."""


def scrape(url: str) -> dict[str, float]:
    """Every sample by its name and labels' values, in the order of the labels' names: ``name{a,b}``."""
    text = httpx2.get(url).raise_for_status().text
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


COUNT = "plimsoll_request_seconds_count{GET,/reports/count,200}"


def counted_by_all(web: Web) -> set[float]:
    """What a series of scrapes says; each is a connection of its own, and another process may take it."""
    url = f"http://127.0.0.1:{web.port}/metrics"
    return {scrape(url).get(COUNT, 0) for _ in range(12)}


def ask(web: Web, times: int) -> None:
    for _ in range(times):
        assert httpx2.get(f"http://127.0.0.1:{web.port}/reports/count", headers=bearer()).status_code == 200


def test_several_processes_tell_of_all_of_them(serve: Callable[..., Web], tmp_path: Path) -> None:
    """Whichever answers; and also of one that has died, except for what it had in use."""
    web = serve(by=Server.SETTLED_AT_ONCE, TMPDIR=str(tmp_path))
    ask(web, 40)
    assert counted_by_all(web) == {40}
    url = f"http://127.0.0.1:{web.port}/metrics"
    assert scrape(url)["plimsoll_pool_limit{}"] == 2 * 2

    [folder] = tmp_path.glob("plimsoll-metrics-*")
    first, *_ = web.program.children()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: first not in web.program.children() and len(web.program.children()) == 2)
    eventually(lambda: scrape(url)["plimsoll_pool_limit{}"] == 2 * 2, within=30)
    assert not list(folder.glob(f"gauge_live*_{first}.db"))
    assert counted_by_all(web) == {40}
    web.program.signal(signal.SIGTERM)
    web.program.ended()
    assert list(tmp_path.glob("plimsoll-metrics-*")) == [], "it leaves nothing behind"


def test_without_a_folder_they_serve_and_say_so(serve: Callable[..., Web], tmp_path: Path) -> None:
    """The negative control: then a scrape tells of one process, and not always of the same."""
    web = serve(WEB_CONCURRENCY="2", TMPDIR="/proc", PYTHONPATH=f"{nowhere(tmp_path)}:{TESTS}")
    web.program.saw("no folder for metrics: each process tells of itself only; mount a writable TMPDIR or /tmp")
    ask(web, 40)
    assert eventually(lambda: len(counted_by_all(web)) > 1, within=60)


def nowhere(folder: Path) -> Path:
    """Where Python finds that there is no temporary directory, as on a read-only root without a volume."""
    (folder / "sitecustomize.py").write_text("import tempfile\ntempfile._candidate_tempdir_list = lambda: ['/proc']\n")
    return folder


@pytest.mark.parametrize("by", [Server.GUNICORN, Server.UVICORN_WORKERS])
def test_under_other_servers_it_takes_one_variable(serve: Callable[..., Web], tmp_path: Path, by: Server) -> None:
    shared = tmp_path / "not" / "there yet"
    web = serve(app="integration.service.calling:app", by=by, OTHER="", PROMETHEUS_MULTIPROC_DIR=str(shared))
    url = f"http://127.0.0.1:{web.port}"
    for _ in range(20):
        httpx2.get(f"{url}/unknown")
    series = "plimsoll_request_seconds_count{GET,unmatched,404}"
    assert {scrape(f"{url}/metrics")[series] for _ in range(12)} == {20}


def test_who_waits_for_a_connection_and_who_goes_without_is_counted(
    serve: Callable[..., Web], database: Database
) -> None:
    web = serve(DB_POOL_SIZE="1", PLIMSOLL_REQUEST_DEADLINE_SECONDS="3")
    url = f"http://127.0.0.1:{web.port}/metrics"
    idle = scrape(url)
    assert (idle["plimsoll_pool_limit{}"], idle["plimsoll_pool_size{}"]) == (1, 1)
    assert (idle["plimsoll_pool_open{}"], idle["plimsoll_pool_in_use{}"]) == (1, 0)
    assert (idle["plimsoll_pool_wait_seconds_count{}"], idle["plimsoll_pool_timeouts_total{}"]) == (0, 0)
    with psycopg.connect(database.url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("LOCK TABLE report IN ACCESS EXCLUSIVE MODE")
        held = pool.submit(httpx2.get, f"http://127.0.0.1:{web.port}/reports/count", headers=bearer(), timeout=30)
        eventually(lambda: scrape(url)["plimsoll_pool_in_use{}"] == 1)
        assert web.get("/reports/count").status_code == 503
        other.rollback()
        assert held.result().status_code == 200
    after = scrape(url)
    assert (after["plimsoll_pool_wait_seconds_count{}"], after["plimsoll_pool_timeouts_total{}"]) == (1, 1)
    assert after["plimsoll_pool_wait_seconds_sum{}"] >= 1, "a third of the deadline"
    assert after["plimsoll_pool_in_use{}"] == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_workers_tell_of_their_jobs_on_a_port_of_its_own(
    start: Start, database: Database, tmp_path: Path, unused_port: Callable[[], int], processes: int
) -> None:
    folders = [tmp_path / str(number) for number in range(processes)]
    for folder in folders:
        folder.mkdir()
    gates = [Gate(database, folder) for folder in folders]
    port = unused_port()
    env = {"PLIMSOLL_METRICS_PORT": str(port), "WEB_CONCURRENCY": str(processes)}
    start("work", "integration.service.job_kinds:jobs", **env).saw("worker started")
    url = f"http://127.0.0.1:{port}/metrics"
    eventually(lambda: scrape(url).get("plimsoll_steps_running{test.gated,wait}") == processes, within=40)

    waiting = [enqueue(database, FAILING, {"how": "permanent"}) for _ in range(3)]
    eventually(lambda: scrape(url).get("plimsoll_steps_waiting{test.failing}") == 3, within=40)
    for gate in gates:
        gate.open()
    assert {ended(database, job).status for job in waiting} == {"failed"}
    assert ended(database, enqueue(database, WIDE, {})).status == "succeeded"
    eventually(lambda: scrape(url)["plimsoll_steps_waiting{test.failing}"] == 0, within=40)
    # Told just after the ledger knows.
    eventually(lambda: scrape(url).get("plimsoll_step_seconds_count{done,test.wide,join}") == 1)
    eventually(lambda: scrape(url)["plimsoll_steps_running{test.gated,wait}"] == 0)
    said = scrape(url)
    assert said["plimsoll_jobs_finished_total{test.gated,succeeded}"] == processes
    assert said["plimsoll_jobs_finished_total{test.failing,failed}"] == 3
    assert said["plimsoll_jobs_finished_total{test.wide,succeeded}"] == 1
    assert said["plimsoll_step_seconds_count{failed,test.failing,fail}"] == 3


def test_a_port_of_its_own_hides_the_path(serve: Callable[..., Web], unused_port: Callable[[], int]) -> None:
    port = unused_port()
    web = serve(PLIMSOLL_METRICS_PORT=str(port))
    assert web.get("/metrics").status_code == 404
    ask(web, 3)
    assert scrape(f"http://127.0.0.1:{port}/metrics")[COUNT] == 3
