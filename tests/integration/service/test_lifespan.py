"""What is opened once stays one, whatever the number of requests; what cannot start says why in one line."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from captions.app import create_app
from captions.deps import Session  # noqa: TC002 - FastAPI reads it
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from plimsoll_runtime.client import open_client
from plimsoll_runtime.engine import open_engine
from plimsoll_runtime.exits import Exit
from plimsoll_runtime.settings import DatabaseUrl, Settings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from support.tokens import TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.service.programs import Database, Start

pytestmark = pytest.mark.integration


class Upstream(ThreadingHTTPServer):
    """Another service, and how many connections it was sent."""

    daemon_threads = True
    connections = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:  # type: ignore[override] # says nothing
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[type, int]:
    """How many of each were made in this process, by whomever."""
    made = {AsyncEngine: 0, httpx2.AsyncClient: 0}
    for each in made:

        def count(self: Any, *args: Any, each: type = each, init: Any = each.__init__, **more: Any) -> None:
            made[each] += 1
            init(self, *args, **more)

        monkeypatch.setattr(each, "__init__", count)
    return made


def settings(database: Database) -> Settings:
    return Settings(database_url=DatabaseUrl(database.url), db_pool_size=2)


def test_one_engine_and_one_client_serve_a_thousand_requests(
    database: Database, upstream: Upstream, made: dict[type, int]
) -> None:
    app = create_app(settings(database), TOKENS)

    @app.get("/both")
    async def both(request: Request, session: Session) -> int:
        await request.state.client.get(upstream.url)
        pid: int = await session.scalar(text("SELECT pg_backend_pid()"))  # type: ignore[assignment] # never null
        return pid

    with TestClient(app) as client:
        backends = set()
        for _ in range(1000):
            answer = client.get("/both")
            assert answer.status_code == 200
            backends.add(answer.json())
    assert made == {AsyncEngine: 1, httpx2.AsyncClient: 1}
    assert upstream.connections == 1
    assert len(backends) <= 2
    mine = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'plimsoll'"
    assert database.one(mine, database.name) == 0, "closed with the app"


def test_and_the_count_would_show_any_other_way(database: Database, upstream: Upstream, made: dict[type, int]) -> None:
    app = FastAPI()

    @app.get("/both")
    async def both() -> None:
        async with open_engine(settings(database)) as engine, open_client(settings(database)) as client:
            await client.get(upstream.url)
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    with TestClient(app) as client:
        for _ in range(5):
            assert client.get("/both").status_code == 200
    assert made == {AsyncEngine: 5, httpx2.AsyncClient: 5}
    assert upstream.connections == 5


def test_the_client_gives_up_before_the_request_does(database: Database) -> None:

    async def timeouts() -> tuple[httpx2.Timeout, bool]:
        async with open_client(settings(database)) as client:
            return client.timeout, client.follow_redirects

    timeout, follows = asyncio.run(timeouts())
    assert (timeout.connect, timeout.read, timeout.write, timeout.pool) == (3, 10, 10, 3)
    assert not follows


def test_the_client_goes_by_the_environments_proxy(
    database: Database, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", upstream.url)
    monkeypatch.delenv("NO_PROXY", raising=False)

    async def ask() -> int:
        async with open_client(settings(database)) as client:
            return (await client.get("http://issuer.invalid/keys")).status_code

    assert (asyncio.run(ask()), upstream.connections) == (204, 1)


def test_the_server_has_our_timeouts_on_every_connection(database: Database) -> None:
    app = create_app(settings(database), TOKENS)

    @app.get("/show")
    async def show(session: Session) -> list[str]:
        names = ("statement_timeout", "idle_in_transaction_session_timeout", "client_connection_check_interval")
        return [str(await session.scalar(text(f"SHOW {name}"))) for name in names]

    with TestClient(app) as client:
        assert client.get("/show").json() == ["15s", "20s", "5s"]


def test_a_lifespan_that_fails_is_one_sentence(start: Start) -> None:
    web = start("serve", "integration.service.not_starting:app")
    assert web.ended() == Exit.NOT_STARTED
    lines = web.log.splitlines()
    assert lines[-1] == "plimsoll_runtime: the app did not start: RuntimeError: no model at /models/speech"
    assert [line for line in lines if line.startswith("Traceback")] == [], "the log has it, as one JSON line"
    assert sum("Traceback" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("tesseract", "said"),
    [
        (None, "tesseract is not installed: "),
        ("#!/bin/sh\necho 'List of languages (1):\ndeu'\n", "tesseract does not know the language 'eng': "),
        ("#!/bin/sh\nexit 1\n", "tesseract does not run: "),
    ],
)
def test_a_worker_without_what_its_steps_need_is_one_sentence(
    start: Start, tmp_path: Any, tesseract: str | None, said: str
) -> None:
    if tesseract:
        (tmp_path / "tesseract").write_text(tesseract)
        (tmp_path / "tesseract").chmod(0o755)
    worker = start("work", "captions.worker:jobs", PATH=str(tmp_path))
    assert worker.ended() == Exit.NOT_STARTED
    assert worker.log.startswith(f"plimsoll_runtime: {said}")
    assert worker.log.count("\n") == 1
