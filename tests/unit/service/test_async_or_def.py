"""The rows of docs/explanation/async-or-def.md, on a real server.

Each handler does something slow, and answers whether anybody else was served meanwhile: the slow thing waits until the
app's ``/probe`` has been served, and gives up after ``PATIENCE``. So a handler that stalls the loop answers false
however long it waits, and one that does not answers true at once; no time is measured.
"""

from __future__ import annotations

import ctypes
import os
import select
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_process
import anyio.to_thread
import httpx2
import pytest
from fastapi import FastAPI
from support.eventually import eventually
from support.in_process import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = {"blocked": 0.5, "free": 30.0}
"""Seconds until what is slow gives up. A handler that stalls the loop would not be helped by more."""


class Upstream:
    """A slow HTTP service: it answers as soon as the app under test has served a probe, or when it gives up."""

    def __init__(self) -> None:
        self.asked, self.served = threading.Event(), threading.Event()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.asked.set()
                body = b"true" if upstream.served.wait(float(self.path.strip("/"))) else b"false"
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    with upstream.running():
        yield upstream


def ask_blocking(url: str) -> bool:
    """What a blocking client library does."""
    return bool(httpx2.get(url, timeout=60).json())


def io_app(upstream: Upstream) -> FastAPI:
    app = FastAPI()

    @app.get("/async-def-with-a-blocking-library")
    async def wrong(patience: float) -> bool:
        return ask_blocking(f"{upstream.url}/{patience}")

    @app.get("/def")
    def plain(patience: float) -> bool:
        return ask_blocking(f"{upstream.url}/{patience}")

    @app.get("/to-thread")
    async def to_thread(patience: float) -> bool:
        return await anyio.to_thread.run_sync(ask_blocking, f"{upstream.url}/{patience}")

    @app.get("/async-library")
    async def with_async_library(patience: float) -> bool:
        async with httpx2.AsyncClient(timeout=60) as client:
            return bool((await client.get(f"{upstream.url}/{patience}")).json())

    @app.get("/probe")
    async def probe() -> None:
        upstream.served.set()

    return app


def others_are_served_meanwhile(upstream: Upstream, path: str, *, patience: str) -> bool:
    """Whether a probe that is sent while the handler at ``path`` waits is answered before it has ended."""
    with serving(io_app(upstream)) as url, ThreadPoolExecutor(2) as clients:
        slow = clients.submit(httpx2.get, f"{url}/{path}", params={"patience": PATIENCE[patience]}, timeout=60)
        assert upstream.asked.wait(30)
        probe = clients.submit(httpx2.get, f"{url}/probe", timeout=60)
        assert probe.result().status_code == 200
        return bool(slow.result().json())


def test_a_blocking_library_in_async_def_stalls_everybody(upstream: Upstream) -> None:
    assert not others_are_served_meanwhile(upstream, "async-def-with-a-blocking-library", patience="blocked")


def test_blocking_library_def(upstream: Upstream) -> None:
    assert others_are_served_meanwhile(upstream, "def", patience="free")


def test_blocking_library_within_async_def_to_thread(upstream: Upstream) -> None:
    assert others_are_served_meanwhile(upstream, "to-thread", patience="free")


def test_async_library_async_def(upstream: Upstream) -> None:
    assert others_are_served_meanwhile(upstream, "async-library", patience="free")


@pytest.mark.parametrize("blocks", [True, False])
def test_cannot_decide_def(upstream: Upstream, *, blocks: bool) -> None:
    """Whichever the unknown call turns out to be, nobody is stalled."""

    def unknown(url: str) -> bool:
        return ask_blocking(url) if blocks else upstream.served.is_set()

    app = io_app(upstream)

    @app.get("/unknown")
    def cannot_decide(patience: float) -> bool:
        return unknown(f"{upstream.url}/{patience}")

    with serving(app) as url, ThreadPoolExecutor(2) as clients:
        asked = clients.submit(httpx2.get, f"{url}/unknown", params={"patience": PATIENCE["free"]}, timeout=60)
        if blocks:
            assert upstream.asked.wait(30)
        assert httpx2.get(f"{url}/probe", timeout=60).status_code == 200
        assert asked.result().json() is True or not blocks


# ---- pure logic ------------------------------------------------------------------------------------------------------


def test_pure_logic_async_def() -> None:
    """It needs no thread, so it does not wait for one; as a ``def`` it would."""
    began, gate, app = threading.Event(), threading.Event(), FastAPI()

    @app.get("/limit")
    async def limit() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1

    @app.get("/waiting")
    async def waiting() -> int:
        return anyio.to_thread.current_default_thread_limiter().statistics().tasks_waiting

    @app.get("/occupied")
    def occupied() -> None:
        began.set()
        gate.wait(30)

    @app.get("/async-def")
    async def pure(n: int) -> int:
        return n * n

    @app.get("/def")
    def pure_in_a_thread(n: int) -> int:
        return n * n

    with serving(app) as url, ThreadPoolExecutor(2) as clients:
        httpx2.get(f"{url}/limit")
        holding = clients.submit(httpx2.get, f"{url}/occupied", timeout=60)
        assert began.wait(30)
        in_a_thread = clients.submit(httpx2.get, f"{url}/def", params={"n": 3}, timeout=60)
        eventually(lambda: httpx2.get(f"{url}/waiting").json() == 1)
        assert httpx2.get(f"{url}/async-def", params={"n": 3}, timeout=5).json() == 9
        assert not in_a_thread.done()
        gate.set()
        assert in_a_thread.result().json() == 9
        holding.result()


# ---- CPU-bound -------------------------------------------------------------------------------------------------------


def compute(fifo: str, patience: float) -> bool:
    """A computation: the interpreter is held all the while, so that no other thread of this process can run.

    ``PyDLL`` calls C without letting go of the GIL, as a loop over pixels or a regular expression would not either.
    """

    class PollFd(ctypes.Structure):
        _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))

    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        asked = PollFd(fd, select.POLLIN, 0)
        Path(f"{fifo}.began").touch()
        return bool(ctypes.PyDLL(None).poll(ctypes.byref(asked), 1, int(patience * 1000)))
    finally:
        os.close(fd)


PROBER = """
import sys, time, pathlib, httpx2
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
print(httpx2.get(sys.argv[2], timeout=60).status_code)
"""
"""A process of its own, since the test's threads are held as well."""


@pytest.mark.parametrize(
    ("where", "patience", "others_are_served"),
    [("async-def", "blocked", False), ("def", "blocked", False), ("process", "free", True)],
)
def test_cpu_bound_process(tmp_path: Path, where: str, patience: str, *, others_are_served: bool) -> None:
    """A thread is no help: it holds the interpreter. The row's other half, a job, runs its steps in processes too."""
    fifo, app = str(tmp_path / "probes"), FastAPI()
    os.mkfifo(fifo)
    keep_open = os.open(fifo, os.O_RDWR)

    @app.get("/async-def")
    async def in_the_loop(patience: float) -> bool:
        return compute(fifo, patience)

    @app.get("/def")
    def in_a_thread(patience: float) -> bool:
        return compute(fifo, patience)

    @app.get("/process")
    async def in_a_process(patience: float) -> bool:
        return await anyio.to_process.run_sync(compute, fifo, patience)

    @app.get("/probe")
    async def probe() -> None:
        os.write(keep_open, b"served")

    probing = (
        f"import sys, time, pathlib, httpx2\nwhile not pathlib.Path({fifo + '.began'!r}).exists(): time.sleep(0.01)\n"
    )
    probing += "print(httpx2.get(sys.argv[1], timeout=60).status_code)"
    with serving(app) as url:  # the prober is a process of its own: the test's own threads are held as well
        prober = subprocess.Popen([sys.executable, "-c", probing, f"{url}/probe"], stdout=subprocess.PIPE, text=True)
        answer = httpx2.get(f"{url}/{where}", params={"patience": PATIENCE[patience]}, timeout=60)
        assert prober.communicate(timeout=60)[0] == "200\n"
        assert answer.json() is others_are_served
    os.close(keep_open)
