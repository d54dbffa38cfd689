"""Sync code beside async code: where it runs, how many threads it gets, and what the linter sees of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio.to_thread
import httpx2
import pytest
from captions.app import create_app
from fastapi import Depends, FastAPI
from plimsoll_runtime.settings import SPARE_THREADS, Settings
from plimsoll_runtime.threads import tie_threads_to_pool
from support.eventually import eventually
from support.in_process import serving
from support.tokens import TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]

seen: ContextVar[str] = ContextVar("seen")
closed: list[int] = []


async def in_loop() -> int:
    seen.set("by the async dependency")
    return threading.get_ident()


def in_thread(loop: Annotated[int, Depends(in_loop)]) -> tuple[int, int]:
    return loop, threading.get_ident()


def resource(_: Annotated[int, Depends(in_loop)]) -> Iterator[int]:
    yield threading.get_ident()
    closed.append(threading.get_ident())


Threads = Annotated[tuple[int, int], Depends(in_thread)]
Resource = Annotated[int, Depends(resource)]


def test_sync_and_async_dependencies_mix() -> None:
    """Each runs where it belongs, whoever asks for it; what async dependencies set in the context reaches threads."""
    app = FastAPI()

    @app.get("/async-def")
    async def asynchronous(threads: Threads, opened: Resource) -> list[object]:
        return [*threads, opened, threading.get_ident(), seen.get()]

    @app.get("/def")
    def synchronous(threads: Threads, opened: Resource) -> list[object]:
        return [*threads, opened, threading.get_ident(), seen.get()]

    closed.clear()
    with serving(app) as url:
        for path, endpoint_in_loop in (("async-def", True), ("def", False)):
            loop, thread, opened, endpoint, told = httpx2.get(f"{url}/{path}").json()
            assert loop not in {thread, opened}
            assert (endpoint == loop) is endpoint_in_loop
            assert told == "by the async dependency"
    assert len(closed) == 2
    assert loop not in closed


def settings(**more: int) -> Settings:
    return Settings(database_url="postgresql://nobody@127.0.0.1:1/nowhere", **more)  # type: ignore[arg-type] # parsed


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ({"db_pool_size": 2}, 2 + SPARE_THREADS),
        ({"db_pool_size": 3, "db_max_overflow": 4}, 7 + SPARE_THREADS),
        ({"db_pool_size": 3, "plimsoll_threads": 1}, 1),
    ],
)
def test_threads_are_tied_to_the_pool(given: dict[str, int], threads: int) -> None:
    """As many sync endpoints as that run at a time, and not one more."""
    gate, counted, running = threading.Event(), threading.Lock(), 0
    app = create_app(settings(**given), TOKENS)

    @app.get("/sync")
    def sync() -> None:
        nonlocal running
        with counted:
            running += 1
        gate.wait(30)

    @app.get("/waiting")
    async def waiting() -> int:
        return anyio.to_thread.current_default_thread_limiter().statistics().tasks_waiting

    with serving(app) as url, ThreadPoolExecutor(threads + 3) as clients:
        requests = [clients.submit(httpx2.get, f"{url}/sync", timeout=60) for _ in range(threads + 3)]
        eventually(lambda: httpx2.get(f"{url}/waiting").json() == 3)
        eventually(lambda: running == threads)
        gate.set()
        assert {request.result().status_code for request in requests} == {200}


def test_without_the_tie_there_are_forty() -> None:
    """The control, and the reason: AnyIO knows no pool."""

    async def before_and_after() -> tuple[float, float]:
        limiter = anyio.to_thread.current_default_thread_limiter()
        before = limiter.total_tokens
        tie_threads_to_pool(settings(db_pool_size=2))
        return before, limiter.total_tokens

    assert asyncio.run(before_and_after()) == (40, 2 + SPARE_THREADS)


BLOCKING = """
import subprocess
import time
from pathlib import Path


{kind} wait() -> None:
    time.sleep(1)
    subprocess.run(["true"], check=True)
    Path("file").read_text()
    with open("file"):
        pass
"""


@pytest.mark.parametrize(
    ("kind", "found"), [("async def", {"ASYNC251", "ASYNC221", "ASYNC240", "ASYNC230"}), ("def", set())]
)
def test_the_linter_sees_blocking_calls_in_async_def(kind: str, found: set[str]) -> None:
    """As the project's own settings have it, in the service's own folder."""
    where = "service/src/captions/planted.py"
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--output-format=concise", "--stdin-filename", where, "-"],
        input=BLOCKING.format(kind=kind),
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
    )
    assert {word for word in done.stdout.split() if word.startswith("ASYNC")} == found, done
