"""The line itself: never more connections than declared, and a 503 rather than one more."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.service.programs import Database, Start, Web

pytestmark = pytest.mark.integration


def report() -> dict[str, str]:
    return {"report_id": str(uuid4()), "text": "typo"}


def test_a_web_process_never_opens_more_than_pool_and_overflow(serve: Callable[..., Web], database: Database) -> None:
    web = serve(DB_POOL_SIZE="2", DB_MAX_OVERFLOW="1", PLIMSOLL_REQUEST_DEADLINE_SECONDS="60")
    assert database.backends(web.program.name) == 2, "the pool is open before the first request; probes take none"
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(database.backends(web.program.name))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(12) as clients:
        statuses = set(clients.map(lambda _: web.post("/reports", json=report()).status_code, range(120)))
    done.set()
    watcher.join()
    assert statuses == {201}
    assert max(seen) == 3
    assert eventually(lambda: database.backends(web.program.name) == 2), "overflow is closed again, the pool is kept"


def test_a_database_that_is_away_holds_no_start_up_and_is_found_later(
    serve: Callable[..., Web], database: Database
) -> None:
    database.server.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
    web = serve(DB_POOL_SIZE="2")
    assert web.get("/readyz").status_code == 200
    assert "the pool is not open yet" in web.program.log
    assert web.post("/reports", json=report()).status_code == 503
    database.server.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
    assert web.post("/reports", json=report()).status_code == 201


def test_an_exhausted_pool_is_503_within_the_deadline(serve: Callable[..., Web], database: Database) -> None:
    web = serve(DB_POOL_SIZE="1", PLIMSOLL_REQUEST_DEADLINE_SECONDS="9")
    with psycopg.connect(database.url) as blocker, ThreadPoolExecutor(1) as other:
        blocker.execute("LOCK TABLE report")
        holding = other.submit(web.post, "/reports", json=report())
        eventually(lambda: database.one("SELECT true FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        refused = web.post("/reports", json=report())
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert web.get("/healthz").status_code == 200
        blocker.rollback()
        assert holding.result().status_code == 201
    assert web.post("/reports", json=report()).status_code == 201


@pytest.mark.parametrize("declared", [2, 4])
def test_a_worker_opens_exactly_what_it_declares(start: Start, database: Database, declared: int) -> None:
    worker = start("work", "integration.service.job_kinds:jobs", DB_POOL_SIZE=str(declared))
    eventually(lambda: database.backends(worker.name) == declared)
    listening = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND query LIKE 'LISTEN%%'"
    assert eventually(lambda: database.one(listening, worker.name) == 1)


def test_a_worker_that_could_not_work_says_so(start: Start) -> None:
    worker = start("work", "integration.service.job_kinds:jobs", DB_POOL_SIZE="1")
    assert worker.ended() == 2
    assert worker.log.startswith("plimsoll_runtime: DB_POOL_SIZE is 1, but a job worker opens at least 2 connections")


def test_several_processes_multiply_exactly(serve: Callable[..., Web], database: Database) -> None:
    web = serve(WEB_CONCURRENCY="2", DB_POOL_SIZE="1", PLIMSOLL_REQUEST_DEADLINE_SECONDS="60")
    with ThreadPoolExecutor(8) as clients:
        statuses = set(clients.map(lambda _: fresh_post(web), range(80)))
    assert statuses == {201}
    assert database.backends(web.program.name) <= 2


def fresh_post(web: Web) -> int:
    """Over a new connection, so that the kernel deals it to either process."""
    return web.post("/reports", json=report(), headers={"connection": "close"}).status_code
