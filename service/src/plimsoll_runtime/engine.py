"""The web process's SQLAlchemy engine: never more connections than the contract declares.

Opened by an app's lifespan, used through a session per request. The pool's hard cap is DB_POOL_SIZE + DB_MAX_OVERFLOW;
who waits longer than ``pool_timeout`` gets a 503 (``errors``) instead of a connection over the line.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from plimsoll_runtime.connecting import connect_arguments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from plimsoll_runtime.settings import Settings

RECYCLE_SECONDS: Final = 600
"""Shorter than the idle timeouts of the usual proxies and firewalls."""


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The engine, from the app's start to its end. It connects lazily: a probe answers before the database does.

    Disposing of it mid-flight would swap in a second pool with a cap of its own, so it happens here and only here,
    after uvicorn has finished every request.
    """

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(settings.database_url.reveal(), **connect_arguments(settings))

    engine = create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        pool_timeout=settings.pool_timeout_seconds,
        pool_pre_ping=True,
        pool_recycle=RECYCLE_SECONDS,
        hide_parameters=True,
    )
    try:
        yield engine
    finally:
        await engine.dispose()


async def driver_connection(session: AsyncSession) -> psycopg.AsyncConnection[Any]:
    """The psycopg connection under a session's transaction, for statements that must commit with it (``jobs``)."""
    connection = await session.connection()
    raw = await connection.get_raw_connection()
    return cast("psycopg.AsyncConnection[Any]", raw.driver_connection)
