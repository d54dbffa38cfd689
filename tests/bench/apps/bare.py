"""Bare FastAPI: the same routers, so the same handlers, dependencies, queries and models, on the same engine.

And nothing else: no middleware, no error handlers, no log line. Served by plain uvicorn, without its access log.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bench.apps import empty
from captions.routes import reports
from fastapi import FastAPI
from plimsoll_runtime.engine import open_engine
from plimsoll_runtime.settings import get_settings
from sqlalchemy.ext.asyncio import async_sessionmaker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from captions.app import State


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    """What the handlers find in the request's state in the whole stack, too."""
    async with open_engine(get_settings()) as engine:
        yield {"sessions": async_sessionmaker(engine, expire_on_commit=False)}


app = FastAPI(lifespan=lifespan)
app.include_router(reports.router)
app.include_router(empty.router)
