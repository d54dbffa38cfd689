"""The application: put together here, served by ``plimsoll_runtime``, which adds the drain, probes and request log."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypedDict

from fastapi import FastAPI
from plimsoll_runtime import problems
from plimsoll_runtime.engine import open_engine
from plimsoll_runtime.limits import BodyLimitMiddleware
from plimsoll_runtime.settings import Settings, get_settings
from plimsoll_runtime.threads import tie_threads_to_pool
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from captions.routes import jobs, reports
from captions.slides import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MULTIPART_OVERHEAD: Final = 16 * 1024


class State(TypedDict):
    """What the lifespan gives to every request."""

    sessions: async_sessionmaker[AsyncSession]


def create_app(settings: Settings | None = None) -> FastAPI:
    """A fresh app; tests give settings of their own."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        configured = settings or get_settings()
        tie_threads_to_pool(configured)
        async with open_engine(configured) as engine:
            yield {"sessions": async_sessionmaker(engine, expire_on_commit=False)}

    app = FastAPI(title="captions", summary="Checks video captions.", lifespan=lifespan)
    problems.install(app)
    app.add_middleware(BodyLimitMiddleware, max_bytes=MAX_BYTES + MULTIPART_OVERHEAD)
    app.include_router(jobs.router)
    app.include_router(reports.router)
    return app
