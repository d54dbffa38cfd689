"""The web process's SQLAlchemy engine: never more connections than the contract declares.

Opened by an app's lifespan, used through a session per request. The pool's hard cap is DB_POOL_SIZE + DB_MAX_OVERFLOW;
who waits longer than ``pool_timeout`` gets a 503 (``errors``) instead of a connection over the line.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from plimsoll_runtime.connecting import advice, connect_arguments
from plimsoll_runtime.pool import MeasuredPool, measure
from plimsoll_runtime.timeouts import Timeouts
from plimsoll_runtime.tracing import TracedCursor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from plimsoll_runtime.settings import Settings

RECYCLE_SECONDS: Final = 600
"""Shorter than the idle timeouts of the usual proxies and firewalls."""

WARM_SECONDS: Final = 2.0
"""How long a start waits for its pool."""

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The engine, from the app's start to its end, with its pool open: the first requests need not wait for it.

    A database that is away at that moment holds nobody up: requests connect as they come.

    Disposing of the engine mid-flight would swap in a second pool with a cap of its own, so it happens here and only
    here, after uvicorn has finished every request.
    """

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(
            settings.database_url.reveal(), cursor_factory=TracedCursor, **connect_arguments(settings)
        )

    engine = create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        poolclass=MeasuredPool,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        pool_timeout=Timeouts.of(settings).pool,
        pool_pre_ping=True,
        pool_recycle=RECYCLE_SECONDS,
        hide_parameters=True,
    )
    measure(engine.sync_engine, limit=settings.db_pool_size + settings.db_max_overflow)
    try:
        await _warm(engine, connections=settings.db_pool_size)
        yield engine
    finally:
        await engine.dispose()


async def _warm(engine: AsyncEngine, *, connections: int) -> None:
    """Open the whole pool: a new pod gets its share of the requests at once, and would let each wait for it."""
    opened: list[AsyncConnection] = []
    try:
        async with asyncio.timeout(WARM_SECONDS):
            for _ in range(connections):
                opened.append(await engine.connect())  # noqa: PERF401 - what is open counts when one fails
    except (TimeoutError, OSError, psycopg.Error, SQLAlchemyError) as error:
        how = {"opened": len(opened), "of": connections, "error": type(error).__name__}
        if said := advice(error):
            how["advice"] = said
        await log.awarning("the pool is not open yet", **how)
    for each in opened:
        await each.close()


async def driver_connection(session: AsyncSession) -> psycopg.AsyncConnection[Any]:
    """The psycopg connection under a session's transaction, for statements that must commit with it (``jobs``)."""
    connection = await session.connection()
    raw = await connection.get_raw_connection()
    return cast("psycopg.AsyncConnection[Any]", raw.driver_connection)
