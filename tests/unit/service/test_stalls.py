"""Who blocks the event loop is named while it does. The blocking handlers here wait until they have been named."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from httpx2 import ASGITransport, AsyncClient
from plimsoll_runtime import stalls
from plimsoll_runtime.access import RequestLogMiddleware
from plimsoll_runtime.observe import ObserveMiddleware
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, MutableMapping

    from starlette.types import Message

pytestmark = pytest.mark.anyio

SECONDS = 0.5
"""Longer than a busy machine lets a free loop wait for a core."""

PATIENCE = 10.0
"""Of a handler that nobody notices."""

named = threading.Event()


@pytest.fixture(autouse=True)
def noticing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog's first line sets ``named``."""
    named.clear()
    find = stalls.find

    def find_and_tell(stack: Any) -> stalls.Culprit:
        culprit = find(stack)
        named.set()
        return culprit

    monkeypatch.setattr(stalls, "find", find_and_tell)


def block() -> bool:
    """Blocking work, in a function of its own; returns whether it was noticed before its end."""
    return named.wait(PATIENCE)


async def blocking_dependency() -> bool:
    return block()


app = FastAPI()


@app.get("/async/{ship}")
async def blocking(ship: str) -> bool:
    return block()


@app.get("/dependency")
async def harmless(noticed: Annotated[bool, Depends(blocking_dependency)]) -> bool:
    return noticed


@app.get("/background")
async def later(background: BackgroundTasks) -> bool:
    background.add_task(blocking_dependency)
    return True


@app.get("/def")
def repaired_by_def() -> bool:
    return named.wait(3 * SECONDS)


@app.get("/thread")
async def repaired_by_thread() -> bool:
    return await run_in_threadpool(named.wait, 3 * SECONDS)


@app.get("/await")
async def repaired_by_await() -> bool:
    await asyncio.sleep(3 * SECONDS)
    return named.is_set()


@asynccontextmanager
async def running(*, seconds: float = SECONDS) -> AsyncIterator[AsyncClient]:
    """The app between its start-up and its shutdown, watched."""
    watched = ObserveMiddleware(RequestLogMiddleware(app), stall_seconds=seconds)
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    started = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            started.set()

    inbox.put_nowait({"type": "lifespan.startup"})
    lifespan = asyncio.ensure_future(watched({"type": "lifespan", "state": {}}, inbox.get, send))
    await started.wait()
    try:
        async with AsyncClient(transport=ASGITransport(app=watched), base_url="http://sea") as client:
            yield client
    finally:
        inbox.put_nowait({"type": "lifespan.shutdown"})
        await lifespan


async def told(logs: list[MutableMapping[str, Any]], message: str) -> MutableMapping[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while True:
            for line in list(logs):
                if line["event"] == message:
                    return line
            await asyncio.sleep(0.01)


def counted(metric: str, handler: str) -> float:
    return REGISTRY.get_sample_value(metric, {"handler": handler}) or 0


@pytest.mark.parametrize(
    ("path", "handler", "route"),
    [
        ("/async/argo", blocking, "/async/{ship}"),
        ("/dependency", blocking_dependency, "/dependency"),
        ("/background", blocking_dependency, "/background"),
    ],
)
async def test_a_handler_that_blocks_is_named_before_it_ends(
    path: str, handler: Callable[..., Any], route: str
) -> None:
    name = f"{handler.__module__}.{handler.__qualname__}"
    before = counted("plimsoll_loop_stalls_total", name)
    with capture_logs() as logs:
        async with running() as client:
            answer = await client.get(path, headers={"x-request-id": "it-is-me"})
            assert answer.json() is True
            assert named.is_set(), "while it blocked"
            first = await told(logs, "event loop blocked")
            last = await told(logs, "event loop free again")
    assert (first["handler"], first["route"], first["request_id"]) == (name, route, "it-is-me")
    assert first["log_level"] == "warning"
    line = block.__code__.co_firstlineno + 2
    assert first["at"] == f"{__file__}:{line}", "where exactly"
    assert last["handler"] == name
    assert last["seconds"] >= first["seconds"] >= SECONDS
    assert counted("plimsoll_loop_stalls_total", name) == before + 1
    assert counted("plimsoll_loop_stall_seconds_total", name) >= last["seconds"] - 0.001


@pytest.mark.parametrize("path", ["/def", "/thread", "/await"])
async def test_its_repairs_block_nobody(path: str) -> None:
    with capture_logs() as logs:
        async with running() as client:
            answer = await client.get(path)
            assert answer.json() is False, "nobody was named, in three times the time that it takes"
    assert [line for line in logs if "event loop" in line["event"]] == []


async def test_switched_off_it_names_nobody() -> None:
    before = set(threading.enumerate())  # some may be about to end
    with capture_logs() as logs:
        async with running(seconds=0) as client:
            threads = {thread.name for thread in set(threading.enumerate()) - before}
            await client.get("/await")
    assert "plimsoll-stalls" not in threads
    assert [line for line in logs if "event loop" in line["event"]] == []


async def test_the_watch_ends_with_the_app() -> None:
    before = set(threading.enumerate())
    async with running():
        [thread] = [each for each in set(threading.enumerate()) - before if each.name == "plimsoll-stalls"]
    await asyncio.to_thread(thread.join, PATIENCE)
    assert not thread.is_alive()


async def test_a_stall_that_is_over_before_anyone_looked_is_told_all_the_same() -> None:
    """C code may hold the interpreter, so that the watching thread stands still as well: its clock jumps."""
    clock = iter([0.0])
    watchdog = stalls.Watchdog(seconds=PATIENCE / 100, clock=lambda: next(clock, 3.0))
    with capture_logs() as logs:
        watchdog.start()
        line = await told(logs, "event loop blocked")
        watchdog.stop()
    assert (line["handler"], line["seconds"]) == ("unknown", 3.0)
