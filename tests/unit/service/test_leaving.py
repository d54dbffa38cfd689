from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from plimsoll_runtime.drain import EXTENSION, Drain
from plimsoll_runtime.leaving import until_leaving
from starlette.requests import HTTPConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


class Source:
    """Gives what it is told to, and knows whether it was closed."""

    def __init__(self, *items: str, then_waits: bool) -> None:
        self._items = items
        self._then_waits = then_waits
        self.waiting = asyncio.Event()
        self.tasks: set[asyncio.Task[None] | None] = set()
        self.closed = False

    async def run(self) -> AsyncIterator[str]:
        try:
            for item in self._items:
                self.tasks.add(asyncio.current_task())
                yield item
            if self._then_waits:
                self.waiting.set()
                await asyncio.Event().wait()
        finally:
            self.tasks.add(asyncio.current_task())
            self.closed = True


def connection(drain: Drain | None) -> HTTPConnection:
    return HTTPConnection({"type": "http", "extensions": {EXTENSION: drain} if drain else {}})


def serving() -> Drain:
    drain = Drain(seconds=0.1)
    drain.started()
    return drain


@pytest.mark.parametrize("drain", [None, serving()])
async def test_a_source_that_ends_ends(drain: Drain | None) -> None:
    source = Source("a", "b", then_waits=False)
    assert [item async for item in until_leaving(connection(drain), source.run())] == ["a", "b"]
    assert source.closed


async def test_one_that_waits_is_ended_and_closed_when_the_process_leaves() -> None:
    drain, source = serving(), Source("a", "b", then_waits=True)

    async def leave() -> None:
        await source.waiting.wait()
        drain.terminate()

    leaving = asyncio.create_task(leave())
    assert [item async for item in until_leaving(connection(drain), source.run())] == ["a", "b"]
    await leaving
    assert source.closed
    assert source.tasks == {asyncio.current_task()}, "it may hold a task group across its items"


async def test_without_a_drain_it_waits_on() -> None:
    """The negative control."""
    source = Source("a", then_waits=True)

    async def consume() -> None:
        async for _ in until_leaving(connection(None), source.run()):
            pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(consume(), 0.3)
    assert source.closed


async def test_a_consumer_that_is_slow_is_not_interrupted() -> None:
    drain, source = serving(), Source("a", "b", "c", then_waits=False)
    seen = []
    async for item in until_leaving(connection(drain), source.run()):
        drain.terminate()
        await asyncio.sleep(0.2)  # longer than the drain
        seen.append(item)
    assert seen == ["a"]
    assert source.closed


async def test_the_sources_own_timeout_stays_its_own() -> None:
    async def source() -> AsyncIterator[str]:
        yield "a"
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        [item async for item in until_leaving(connection(serving()), source())]
