"""What happens to a job when its worker leaves, dies, freezes, or loses the database."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING

import psycopg
import pytest
from integration.service.job_kinds import FAILING, GATED, THREADED, WIDE
from plimsoll_runtime.exits import Exit
from plimsoll_runtime.jobs import ledger
from plimsoll_runtime.jobs.gate import JobInputError
from support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any
    from uuid import UUID

    from integration.service.programs import Database, Program, Start
    from plimsoll_runtime.jobs.ledger import JobState
    from plimsoll_runtime.jobs.model import JobKind, Json

pytestmark = pytest.mark.integration


def ask(database: Database, call: Callable[[psycopg.AsyncConnection[Any]], Coroutine[Any, Any, Any]]) -> Any:
    import asyncio  # noqa: PLC0415 - only here

    async def run() -> Any:
        async with await psycopg.AsyncConnection.connect(database.url) as connection:
            return await call(connection)

    return asyncio.run(run())


def enqueue(database: Database, kind: JobKind, given: Json) -> UUID:
    job: UUID = ask(database, lambda c: ledger.enqueue(c, kind, input=given))
    return job


def ended(database: Database, job: UUID, *, within: float = 40) -> JobState:
    def look() -> JobState | None:
        state: JobState = ask(database, lambda c: ledger.status(c, job))
        return state if state.finished_at else None

    return eventually(look, within=within, every=0.05)


class Gate:
    """A job that runs until the test lets it end."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._folder = folder
        self.job = enqueue(database, GATED, {"folder": str(folder)})

    def attempt(self, number: int) -> list[int]:
        """The processes of that attempt, once it has started."""
        file = self._folder / f"attempt-{number}"
        text = eventually(lambda: file.read_text() if file.exists() else None, within=40)
        return [int(pid) for pid in text.split()]

    def restarted(self, number: int, *, than: list[int]) -> list[int]:
        return eventually(lambda: pids if (pids := self.attempt(number)) != than else None, within=40)

    def open(self) -> None:
        (self._folder / "gate").touch()


@pytest.fixture
def gate(database: Database, tmp_path: Path) -> Gate:
    return Gate(database, tmp_path)


def gone(pids: list[int]) -> bool:
    return not any(os.path.exists(f"/proc/{pid}") and not _zombie(pid) for pid in pids)  # noqa: PTH110 - no Path needed


def _zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - likewise
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def work(start: Start, **env: str) -> Program:
    worker = start("work", "integration.service.job_kinds:jobs", **env)
    worker.saw("worker started")
    return worker


def test_sigterm_lets_a_step_finish_that_fits_into_the_deadline(start: Start, database: Database, gate: Gate) -> None:
    worker = work(start)
    gate.attempt(1)
    worker.signal(signal.SIGTERM)
    worker.saw('"finishing"')
    gate.open()
    assert worker.ended() == 0
    state = ended(database, gate.job)
    assert (state.status, state.attempts) == ("succeeded", 1)
    assert state.result is not None
    assert state.result["secrets"] == [None, None], "a step has no database of its own, and signs no tokens"
    assert not os.path.exists(state.result["tmp"]), "its folder goes with it"  # noqa: PTH110 - a plain string


def test_a_thread_that_does_not_end_cannot_hold_the_worker(start: Start, database: Database, tmp_path: Path) -> None:
    enqueue(database, THREADED, {"folder": str(tmp_path)})
    leaving = work(start, PLIMSOLL_JOB_DEADLINE_SECONDS="0")
    eventually((tmp_path / "attempt-1").exists, within=40)
    leaving.signal(signal.SIGTERM)
    assert leaving.ended(within=8) == Exit.CLEAN
    assert "handed back" in leaving.log


def test_a_database_that_takes_no_step_back_cannot_hold_the_worker(
    start: Start, database: Database, gate: Gate
) -> None:
    leaving = work(start, PLIMSOLL_JOB_DEADLINE_SECONDS="0", PLIMSOLL_LIFESPAN_SECONDS="0.5")
    first = gate.attempt(1)
    with psycopg.connect(database.url) as blocker:
        blocker.execute("LOCK TABLE plimsoll_jobs.step")
        leaving.signal(signal.SIGTERM)
        assert leaving.ended(within=8) == Exit.UNCLOSED
        assert "not handed back in time" in leaving.log
        assert gone(first), "the step itself is over"
    work(start)
    gate.open()  # whether the server took it back after all, or its lease ran out
    assert ended(database, gate.job).status == "succeeded"


def test_sigterm_hands_the_rest_back_uncharged(start: Start, database: Database, gate: Gate) -> None:
    leaving = work(start, PLIMSOLL_JOB_DEADLINE_SECONDS="0.2")
    first = gate.attempt(1)
    leaving.signal(signal.SIGTERM)
    assert leaving.ended() == 0
    assert "handed back" in leaving.log
    assert gone(first)
    work(start)
    gate.restarted(1, than=first)
    gate.open()
    state = ended(database, gate.job)
    assert (state.status, state.attempts) == ("succeeded", 1)


def test_sigkill_moves_the_step_elsewhere_and_one_result_stays(start: Start, database: Database, gate: Gate) -> None:
    doomed = work(start)
    first = gate.attempt(1)
    work(start)
    doomed.signal(signal.SIGKILL)
    assert eventually(lambda: gone(first), within=20), "the step dies with its worker, its own children too"
    gate.attempt(2)
    gate.open()
    state = ended(database, gate.job)
    assert (state.status, state.attempts, state.result and state.result["attempt"]) == ("succeeded", 2, 2)


def test_a_frozen_worker_is_fenced_and_its_step_does_not_outlive_the_lease(
    start: Start, database: Database, gate: Gate
) -> None:
    frozen = work(start)
    first = gate.attempt(1)
    work(start)
    frozen.signal(signal.SIGSTOP)
    gate.attempt(2)
    assert eventually(lambda: gone(first), within=20)
    frozen.signal(signal.SIGCONT)
    frozen.saw("lease lost|step ended")
    gate.open()
    state = ended(database, gate.job)
    assert (state.status, state.attempts, state.result and state.result["attempt"]) == ("succeeded", 2, 2)
    assert database.one("SELECT count(*) FROM plimsoll_jobs.step WHERE state = 'done'") == 1


@pytest.mark.parametrize(
    ("how", "attempts", "error"),
    [
        ("again", 2, "ValueError: again, please"),
        ("permanent", 1, "no use"),
        ("die", 2, "the step's process ended without a result: killed by SIGABRT"),
    ],
)
def test_a_failing_step_is_tried_again_and_dies_in_the_end(
    start: Start, database: Database, how: str, attempts: int, error: str
) -> None:
    job = enqueue(database, FAILING, {"how": how})
    work(start)
    state = ended(database, job)
    assert (state.status, state.attempts, state.error, state.result) == ("failed", attempts, error, None)


def test_an_input_that_its_kind_does_not_take_is_refused_when_it_comes_and_when_it_is_read(
    start: Start, database: Database
) -> None:
    said = "the input is not what test.failing takes: how: literal_error"
    with pytest.raises(JobInputError) as refused:
        enqueue(database, FAILING, {"how": "hunter2"})
    assert str(refused.value) == said
    assert database.one("SELECT count(*) FROM plimsoll_jobs.job") == 0

    job = enqueue(database, FAILING, {"how": "again"})
    database.one('UPDATE plimsoll_jobs.job SET input = \'{"how": "hunter2"}\' RETURNING 1')
    worker = work(start)
    state = ended(database, job)
    assert (state.status, state.attempts, state.error) == ("failed", 1, said)
    assert "hunter2" not in worker.log


def test_a_lost_listener_is_replaced_and_the_poll_covers_the_gap(start: Start, database: Database) -> None:
    worker = work(start)
    listening = "FROM pg_stat_activity WHERE application_name = %s AND query LIKE 'LISTEN%%'"
    first = eventually(lambda: database.one(f"SELECT pid {listening}", worker.name))
    database.one("SELECT pg_terminate_backend(%s)", first)
    assert ended(database, enqueue(database, WIDE, {})).status == "succeeded"
    assert eventually(lambda: database.one(f"SELECT pid {listening}", worker.name) not in {None, first})


def test_a_restart_of_the_database_costs_no_job(start: Start, database: Database, gate: Gate) -> None:
    worker = work(start, PLIMSOLL_JOB_LEASE_SECONDS="6")
    gate.attempt(1)
    database.server.stop()
    database.server.start()
    gate.open()
    state = ended(database, gate.job)
    assert (state.status, state.attempts) == ("succeeded", 1)
    assert ended(database, enqueue(database, WIDE, {})).status == "succeeded"
    assert eventually(lambda: database.backends(worker.name) == 2)


def test_notification_starts_a_step_long_before_the_poll(start: Start, database: Database) -> None:
    work(start, PLIMSOLL_JOB_POLL_SECONDS="30")
    eventually(
        lambda: database.one(
            "SELECT true FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND datname = %s", database.name
        )
    )
    state = ended(database, enqueue(database, WIDE, {}), within=20)
    assert state.result == {"saw": [f"part-{n}" for n in range(8)]}


def test_several_worker_processes_leave_together(start: Start, database: Database) -> None:
    worker = start("work", "integration.service.job_kinds:jobs", WEB_CONCURRENCY="2")
    eventually(lambda: database.backends(worker.name) == 4, within=40)
    assert ended(database, enqueue(database, WIDE, {})).status == "succeeded"
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert eventually(lambda: database.backends(worker.name) == 0)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_second_sigterm_changes_nothing(start: Start, database: Database, gate: Gate, processes: str) -> None:
    worker = work(start, WEB_CONCURRENCY=processes)
    gate.attempt(1)
    worker.signal(signal.SIGTERM)
    worker.saw('"finishing"')
    worker.signal(signal.SIGTERM)
    gate.open()
    assert worker.ended() == Exit.CLEAN
    assert ended(database, gate.job).attempts == 1


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sigterm_during_the_import_is_obeyed_at_once(start: Start, tmp_path: Path, processes: str) -> None:
    marker = tmp_path / "importing"
    worker = start("work", "integration.service.slow_import:app", MARKER=str(marker), WEB_CONCURRENCY=processes)
    eventually(marker.exists, within=30)
    worker.signal(signal.SIGTERM)
    assert worker.ended(within=10) == Exit.TERMINATED


def test_sigterm_right_after_the_start_is_obeyed(start: Start) -> None:
    worker = work(start)
    worker.signal(signal.SIGTERM)
    assert worker.ended(within=10) == Exit.CLEAN


def test_sigterm_is_obeyed_when_there_is_no_database(start: Start) -> None:
    worker = work(start, DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    worker.saw("connection")
    worker.signal(signal.SIGTERM)
    assert worker.ended(within=15) == Exit.CLEAN


def test_sigterm_at_any_moment_of_the_start_ends_it(start: Start, database: Database) -> None:
    """Wherever it meets us: before Python runs our first line, during imports, while connecting, at work."""
    for step in range(8):
        worker = start("work", "integration.service.job_kinds:jobs")
        with suppress(TimeoutExpired):
            worker.ended(within=0.15 * step)  # not a wait for anything: it spreads the signals over the start
        worker.signal(signal.SIGTERM)
        assert worker.ended(within=15) in {-signal.SIGTERM, Exit.TERMINATED, Exit.CLEAN}
    assert eventually(lambda: database.backends(worker.name) == 0)
