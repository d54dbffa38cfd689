"""Bare FastAPI: the same router, so the same handler, token check, query and models, on the same engine.

And nothing else: no middleware, no error handlers, no log line, metrics or traces. Served by plain uvicorn, without its
access log.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bench.apps import empty
from captions.routes import users
from fastapi import FastAPI
from plimsoll_runtime.client import open_client
from plimsoll_runtime.engine import open_engine
from plimsoll_runtime.settings import get_settings
from plimsoll_runtime.tokens import TokenSettings, open_verifier
from sqlalchemy.ext.asyncio import async_sessionmaker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from captions.app import State


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    """What the handlers find in the request's state in the whole stack, too."""
    settings = get_settings()
    async with (
        open_engine(settings) as engine,
        open_client(settings) as client,
        open_verifier(TokenSettings.load(), client=client) as verifier,
    ):
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        yield {"settings": settings, "sessions": sessions, "client": client, "verifier": verifier}


app = FastAPI(lifespan=lifespan)
app.include_router(users.router)
app.include_router(empty.router)
