"""The service that uses all it was given: every connection of its pool is busy from its start to its very end.

    python -m plimsoll_runtime serve saturating:app     web pods; the pool is plimsoll_runtime's own
    python -m saturating                                job workers, with DB_POOL_SIZE connections

What a test tells it goes through the database, where every pod hears it at once: the table ``switch`` of one row. While
``hold`` is set, a web pod that starts does not become ready, so that a rollout stands still with its surge. While
``linger`` is set, who was told to stop goes on to its deadline, as with a long request or job. ``burn`` is the share of
a core, in percent, that each pod with BURNS=yes wastes.
A connection that the server refuses for want of slots is logged as SQLSTATE 53300, and asked for again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from fastapi import FastAPI, Response
from plimsoll_runtime import logs
from plimsoll_runtime.connecting import connect_arguments
from plimsoll_runtime.engine import open_engine
from plimsoll_runtime.settings import Settings, get_settings
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

SWITCH = "SELECT hold, linger, burn FROM switch"
BUSY = f"{SWITCH}, pg_sleep(0.5)"
"""Busy nearly all the time, and yet a backend whose client was killed hears of it within half a second."""

TURN_SECONDS = 0.1
RETRY_SECONDS = 0.2
REFUSED = ("too many clients already", "remaining connection slots are reserved")
"""What the server says with 53300; libpq hands on the sentence of a refused connection, but not its code."""

log = structlog.stdlib.get_logger("saturating")


@dataclass
class Pod:
    """What one process knows."""

    wanted: int
    tried: set[int] = field(default_factory=set)
    """Connections that were opened or refused at least once."""

    born_held: bool | None = None
    """Whether the switch said ``hold`` when this process first read it."""

    hold: bool = False
    linger: bool = False
    burn: int = 0

    def heard(self, row: Sequence[Any] | None) -> None:
        """A reading of the switch."""
        if row is not None:
            self.hold, self.linger, self.burn = bool(row[0]), bool(row[1]), int(row[2])
            self.born_held = self.hold if self.born_held is None else self.born_held

    async def lingered(self) -> None:
        """Waits for as long as who was told to stop shall go on."""
        while self.linger:  # noqa: ASYNC110 - the switch is read from the database, nobody calls
            await asyncio.sleep(TURN_SECONDS)

    @property
    def ready(self) -> bool:
        """Whether traffic may come: whoever was refused is up as well, as with any service that connects lazily."""
        return len(self.tried) == self.wanted and not (self.born_held and self.hold)


def report(error: Exception) -> None:
    """Log what kept us from a connection."""
    words = str(error)
    log.error("no connection", sqlstate="53300" if any(one in words for one in REFUSED) else None, error=words)


async def occupy_pooled(engine: AsyncEngine, pod: Pod, number: int) -> None:
    """Keep one connection of the engine's pool busy, for ever."""
    while True:
        try:
            async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                pod.heard((await connection.execute(text(SWITCH))).first())
                pod.tried.add(number)
                while True:
                    pod.heard((await connection.execute(text(BUSY))).first())
        except DBAPIError as error:
            pod.tried.add(number)
            report(error)
            await asyncio.sleep(RETRY_SECONDS)


async def occupy(settings: Settings, pod: Pod) -> None:
    """Keep one connection of a worker's own busy, for ever."""
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                settings.database_url.reveal(), autocommit=True, **connect_arguments(settings)
            ) as connection:
                while True:
                    pod.heard(await (await connection.execute(BUSY)).fetchone())
        except psycopg.Error as error:
            report(error)
            await asyncio.sleep(RETRY_SECONDS)


async def waste(pod: Pod) -> None:
    """Burn the share of a core that the switch asks for, in turns."""
    while True:
        until = time.monotonic() + TURN_SECONDS * pod.burn / 100
        while time.monotonic() < until:
            pass
        await asyncio.sleep(TURN_SECONDS * (100 - min(pod.burn, 90)) / 100)


@contextlib.asynccontextmanager
async def at_once(*work: Any) -> AsyncIterator[None]:
    """The work goes on beside the body, and ends with it."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def create_app() -> FastAPI:
    """The web process: nothing but its pool and its readiness."""
    settings = get_settings()
    pod = Pod(settings.db_pool_size + settings.db_max_overflow)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with open_engine(settings) as engine:
            burning = [waste(pod)] if os.environ.get("BURNS") else []
            async with at_once(*(occupy_pooled(engine, pod, number) for number in range(pod.wanted)), *burning):
                yield
                await pod.lingered()

    app = FastAPI(lifespan=lifespan)

    @app.get("/saturated")
    async def saturated() -> Response:
        return Response(status_code=200 if pod.ready else 503)

    return app


async def work(settings: Settings) -> None:
    """The worker: holds its connections until it is told to stop, and then for as long as it shall linger."""
    pod, stopped = Pod(settings.db_pool_size), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with at_once(*(occupy(settings, pod) for _ in range(pod.wanted))):
        await stopped.wait()
        await pod.lingered()


if __name__ == "__main__":
    logs.configure()
    asyncio.run(work(get_settings()))
else:
    app = create_app()
