"""The application: put together here, served by ``plimsoll_runtime``, which adds the drain, probes and request log."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypedDict

import httpx2
from fastapi import FastAPI
from plimsoll_runtime import problems
from plimsoll_runtime.engine import open_engine
from plimsoll_runtime.limits import BodyLimitMiddleware
from plimsoll_runtime.settings import Settings, get_settings
from plimsoll_runtime.tokens import TokenSettings, Verifier, open_verifier
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from captions.errors import CONFLICTS
from captions.routes import jobs, reports, users
from captions.slides import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MULTIPART_OVERHEAD: Final = 16 * 1024
ISSUER_TIMEOUT_SECONDS: Final = 5


class State(TypedDict):
    """What the lifespan gives to every request."""

    sessions: async_sessionmaker[AsyncSession]
    verifier: Verifier


def create_app(settings: Settings | None = None, tokens: TokenSettings | None = None) -> FastAPI:
    """A fresh app; tests give settings of their own. What is not given is read from the environment at its start."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        trusted = tokens or TokenSettings.load()
        async with (
            open_engine(settings or get_settings()) as engine,
            httpx2.AsyncClient(timeout=ISSUER_TIMEOUT_SECONDS) as client,
            open_verifier(trusted, client=client) as verifier,
        ):
            yield {"sessions": async_sessionmaker(engine, expire_on_commit=False), "verifier": verifier}

    app = FastAPI(title="captions", summary="Checks video captions.", lifespan=lifespan)
    problems.install(app, conflicts=CONFLICTS)
    app.add_middleware(BodyLimitMiddleware, max_bytes=MAX_BYTES + MULTIPART_OVERHEAD)
    app.include_router(jobs.router)
    app.include_router(reports.router)
    app.include_router(users.router)
    app.include_router(users.me)
    return app
