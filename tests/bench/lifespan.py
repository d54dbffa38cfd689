"""One engine and one HTTP client per process against new ones for each request: latency of the same handler, both ways.

The handler asks an upstream and the database for one row each. Both apps run in this process, called without a network
between client and app, one request at a time, in rounds that take turns (A B B A …), the first of each thrown away;
PostgreSQL and the upstream are on the same machine, so a farther database makes the difference larger.

    PYTHONPATH=tests python -m bench.lifespan [ROUNDS [REQUESTS]]     or `make bench-service`
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import httpx2
from bench.record import write
from fastapi import FastAPI
from plimsoll_runtime.client import open_client
from plimsoll_runtime.engine import open_engine
from plimsoll_runtime.settings import DatabaseUrl, Settings
from sqlalchemy import text
from support.postgres import PrivatePostgres

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

ROUNDS = 10
REQUESTS = 100


class Upstream:
    """Answers 204 to whatever comes, and counts connections."""

    def __init__(self) -> None:
        self.connections = 0
        self.conversations: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if (task := asyncio.current_task()) is not None:
            self.conversations.add(task)
            task.add_done_callback(self.conversations.discard)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def work(engine: AsyncEngine, client: httpx2.AsyncClient, url: str) -> int:
    """What both handlers do."""
    await client.get(url)
    async with engine.connect() as connection:
        value: int = (await connection.execute(text("SELECT 42"))).scalar_one()
    return value


def per_process(engine: AsyncEngine, client: httpx2.AsyncClient, url: str) -> FastAPI:
    """What a lifespan has opened is used."""
    app = FastAPI()

    @app.get("/")
    async def handle() -> int:
        return await work(engine, client, url)

    return app


def per_request(settings: Settings, url: str) -> FastAPI:
    """Each request opens its own."""
    app = FastAPI()

    @app.get("/")
    async def handle() -> int:
        async with open_engine(settings) as engine, open_client(settings) as client:
            return await work(engine, client, url)

    return app


async def round_of(client: httpx2.AsyncClient, requests: int) -> list[float]:
    """Milliseconds of each request."""
    took = []
    for _ in range(requests):
        began = time.perf_counter()
        answer = await client.get("/")
        took.append((time.perf_counter() - began) * 1000)
        if (answer.status_code, answer.text) != (200, "42"):
            raise RuntimeError(f"answered {answer.status_code}")
    return took


async def measure(database_url: str, *, rounds: int, requests: int) -> dict[str, Any]:
    """The figures."""
    settings = Settings(database_url=DatabaseUrl(database_url), db_pool_size=1)
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    ways: dict[str, list[float]] = {"per_process": [], "per_request": []}
    connections = dict.fromkeys(ways, 0)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(settings))
        shared = await stack.enter_async_context(open_client(settings))
        apps = {"per_process": per_process(engine, shared, url), "per_request": per_request(settings, url)}
        clients = {
            way: await stack.enter_async_context(
                httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://app")
            )
            for way, app in apps.items()
        }
        for number in range(rounds + 1):
            for way in ways if number % 2 else reversed(ways):
                before = upstream.connections
                took = await round_of(clients[way], requests)
                if number:
                    ways[way] += took
                    connections[way] += upstream.connections - before
    server.close()
    await asyncio.gather(*upstream.conversations)
    p99 = {way: statistics.quantiles(took, n=100)[98] for way, took in ways.items()}
    return {
        "p99_ratio": round(p99["per_request"] / p99["per_process"], 2),
        "requests_each": rounds * requests,
        **{f"p50_ms_{way}": round(statistics.median(took), 3) for way, took in ways.items()},
        **{f"p99_ms_{way}": round(each, 3) for way, each in p99.items()},
        **{f"upstream_connections_{way}": each for way, each in connections.items()},
    }


if __name__ == "__main__":
    rounds, requests = [int(each) for each in sys.argv[1:]] + [ROUNDS, REQUESTS][len(sys.argv) - 1 :]
    with PrivatePostgres() as postgres:
        figures = asyncio.run(measure(postgres.url(), rounds=rounds, requests=requests))
    write("lifespan", command="make bench-service", figures=figures)
