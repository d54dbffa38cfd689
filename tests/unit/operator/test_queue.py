"""The work queue, on a loop whose time is a number: minutes of backoff pass without a wait."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import structlog
from plimsoll.errors import Conflict
from plimsoll_operator.queue import Done, Key, Kind, WorkQueue
from support.virtual_loop import VirtualLoop, virtual_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B, C = (Key(Kind.SERVICE, "demo", name) for name in "abc")


class Bench:
    """A queue and a reconciler that a test leads: each run is held until the test ends it."""

    def __init__(self, loop: VirtualLoop, *, workers: int = 2) -> None:
        self.loop = loop
        self.queue = WorkQueue(workers=workers, jitter=lambda: 1.0)
        self.started: list[tuple[float, str]] = []
        self.running: dict[Key, asyncio.Future[Done]] = {}
        self.runs: dict[Key, int] = defaultdict(int)
        self.task = loop.create_task(self.queue.run(self._reconcile))
        loop.pump()

    def add(self, *keys: Key) -> None:
        for key in keys:
            self.loop.call_soon(self.queue.add, key)
        self.loop.pump()

    def end(self, key: Key, done: Done | Exception = Done()) -> None:  # noqa: B008 - frozen
        future = self.running.pop(key)
        if isinstance(done, Exception):
            future.set_exception(done)
        else:
            future.set_result(done)
        self.loop.pump()

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.loop.pump()

    def drain(self, seconds: float = 20.0) -> asyncio.Task[None]:
        task = self.loop.create_task(self.queue.drain(seconds))
        self.loop.pump()
        return task

    async def _reconcile(self, key: Key) -> Done:
        assert key not in self.running, "two at once"
        self.started.append((self.loop.now, key.name))
        self.runs[key] += 1
        self.running[key] = self.loop.create_future()
        return await self.running[key]

    def close(self) -> None:
        self.task.cancel()
        for future in self.running.values():
            future.cancel()
        self.loop.pump()


@contextmanager
def a_bench(*, workers: int = 2) -> Iterator[Bench]:
    with virtual_loop() as loop, structlog.testing.capture_logs():
        bench = Bench(loop, workers=workers)
        yield bench
        bench.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with a_bench() as made:
        yield made


def test_a_key_never_runs_twice_at_once_and_events_during_its_run_cause_exactly_one_more(bench: Bench) -> None:
    bench.add(A)
    bench.add(A, A)
    bench.add(A)
    assert bench.runs[A] == 1
    bench.end(A)
    assert bench.runs[A] == 2
    bench.end(A)
    assert bench.runs[A] == 2
    assert len(bench.queue) == 0


def test_keys_that_wait_are_coalesced() -> None:
    with a_bench(workers=1) as bench:
        bench.add(A)
        bench.add(B, B, C, B)
        assert len(bench.queue) == 2
        bench.end(A)
        bench.end(B)
        bench.end(C)
        assert bench.runs == {A: 1, B: 1, C: 1}


def test_no_more_run_at_once_than_there_are_workers(bench: Bench) -> None:
    bench.add(A, B, C)
    assert set(bench.running) == {A, B}
    bench.end(A)
    assert set(bench.running) == {B, C}


def test_what_asks_to_be_looked_at_again_is_after_that_time(bench: Bench) -> None:
    bench.add(A)
    bench.end(A, Done(requeue_after=2.0))
    bench.wait(1.9)
    assert bench.runs[A] == 1
    bench.wait(0.2)
    assert bench.started == [(0.0, "a"), (2.0, "a")]


def test_an_event_ends_that_wait_and_takes_its_timer_away(bench: Bench) -> None:
    bench.add(A)
    bench.end(A, Done(requeue_after=10.0))
    bench.wait(1)
    bench.add(A)
    bench.end(A)
    bench.wait(60)
    assert bench.started == [(0.0, "a"), (1.0, "a")]


def test_a_failing_key_backs_off_up_to_the_cap_and_a_success_forgets_it(bench: Bench) -> None:
    bench.add(A)
    for _ in range(11):
        bench.end(A, Conflict("somebody else wrote first"))
        bench.wait(125)
    times = [at for at, _ in bench.started]
    waits = [times[1] - times[0], *(later - 125 - earlier for earlier, later in itertools.pairwise(times))]
    assert times[1] == 0.5
    gaps = [0.5, 1, 2, 4, 8, 16, 32, 64, 120, 120]
    ends = [index * 125.0 for index in range(len(gaps))]
    assert times[1:11] == [end + gap for end, gap in zip(ends, gaps, strict=True)], waits
    bench.end(A)
    bench.add(A)
    before = bench.loop.now
    bench.end(A, Conflict("again"))
    bench.wait(1)
    assert bench.started[-1][0] == before + 0.5


def test_jitter_takes_up_to_half_of_a_wait_off() -> None:
    with a_bench() as bench:
        bench.queue.jitter = lambda: 0.0
        bench.add(A)
        bench.end(A, Conflict("no"))
        bench.wait(1)
        assert bench.started[-1][0] == 0.25


def test_an_event_during_a_failing_run_does_not_shorten_the_wait(bench: Bench) -> None:
    bench.add(A)
    bench.add(A)
    bench.end(A, Conflict("no"))
    assert bench.runs[A] == 1
    bench.wait(0.4)
    assert bench.runs[A] == 1
    bench.wait(0.2)
    assert bench.runs[A] == 2


def test_an_event_during_the_wait_of_a_failing_key_ends_it(bench: Bench) -> None:
    bench.add(A)
    bench.end(A, Conflict("no"))
    bench.add(A)
    assert bench.runs[A] == 2


def test_a_failing_key_stops_no_worker_and_a_bug_is_logged_with_its_trace() -> None:
    with virtual_loop() as loop, structlog.testing.capture_logs() as logs:
        bench = Bench(loop, workers=1)
        bench.add(A)
        bench.end(A, ZeroDivisionError("a bug"))
        bench.add(B)
        assert B in bench.running
        bench.end(B, Conflict("no"))
        bench.close()
    assert [(each["resource"], bool(each["exc_info"])) for each in logs] == [("demo/a", True), ("demo/b", False)]


def test_the_oldest_waiting_key_is_what_liveness_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_bench(workers=1) as bench:
        monkeypatch.setattr("plimsoll_operator.queue.time.monotonic", lambda: bench.loop.now)
        assert bench.queue.oldest_seconds() == 0.0
        bench.add(A, B)
        bench.wait(30)
        bench.add(C)
        assert bench.queue.oldest_seconds() == 30.0
        bench.end(A)
        assert bench.queue.oldest_seconds() == 0.0


def test_draining_starts_nothing_more_and_waits_for_what_is_under_way(bench: Bench) -> None:
    bench.add(A)
    drained = bench.drain()
    bench.add(B)
    assert set(bench.running) == {A}
    assert not drained.done()
    bench.end(A)
    assert drained.done()
    assert bench.runs == {A: 1}


def test_draining_does_not_wait_for_ever() -> None:
    with virtual_loop() as loop, structlog.testing.capture_logs() as logs:
        bench = Bench(loop)
        bench.add(A)
        drained = bench.drain(20.0)
        bench.wait(19)
        assert not drained.done()
        bench.wait(2)
        assert drained.done()
        bench.close()
    assert [each["event"] for each in logs] == ["stopped with reconciles under way"]


def test_draining_an_idle_queue_is_over_at_once(bench: Bench) -> None:
    assert bench.drain().done()
