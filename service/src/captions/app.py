"""The application: put together here, served by ``plimsoll_runtime``, which adds the drain, probes and request log."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypedDict

from fastapi import FastAPI
from plimsoll_runtime import headers, problems, telemetry
from plimsoll_runtime.client import open_client
from plimsoll_runtime.engine import open_engine
from plimsoll_runtime.limits import BodyLimitMiddleware, RequestDeadlineMiddleware
from plimsoll_runtime.rate import RateLimit, RateLimitMiddleware
from plimsoll_runtime.settings import Settings, get_settings
from plimsoll_runtime.threads import tie_threads_to_pool
from plimsoll_runtime.tokens import TokenSettings, Verifier, open_verifier
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from captions.errors import CONFLICTS
from captions.routes import jobs, reports, users
from captions.slides import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from httpx2 import AsyncClient
    from starlette.types import ASGIApp

MULTIPART_OVERHEAD: Final = 16 * 1024


class State(TypedDict):
    """What the lifespan gives to every request."""

    settings: Settings
    sessions: async_sessionmaker[AsyncSession]
    client: AsyncClient
    verifier: Verifier


def create_app(settings: Settings | None = None, tokens: TokenSettings | None = None) -> FastAPI:
    """A fresh app; tests give settings of their own. What is not given is read from the environment at its start."""

    def known() -> Settings:
        return settings or get_settings()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        tie_threads_to_pool(known())
        async with (
            open_engine(known()) as engine,
            open_client(known()) as client,
            open_verifier(tokens or TokenSettings.load(), client=client) as verifier,
        ):
            sessions = async_sessionmaker(engine, expire_on_commit=False)
            yield {"settings": known(), "sessions": sessions, "client": client, "verifier": verifier}

    def limited(stack: ASGIApp) -> ASGIApp:
        """Bounds on each request, cheapest refusal outermost. Built when the app starts, since settings come then."""
        stack = BodyLimitMiddleware(stack, max_bytes=MAX_BYTES + MULTIPART_OVERHEAD)
        stack = RequestDeadlineMiddleware(stack, seconds=known().plimsoll_request_deadline_seconds)
        if rate := known().plimsoll_rate_per_second:
            limit = RateLimit(per_second=rate, burst=known().plimsoll_rate_burst)
            stack = RateLimitMiddleware(stack, limit=limit)
        return stack

    app = FastAPI(title="captions", summary="Checks video captions.", lifespan=lifespan, telemetry=telemetry.FASTAPI)
    problems.install(app, conflicts=CONFLICTS)
    app.add_middleware(limited)
    headers.guard(app, origins=lambda: known().plimsoll_cors_origins)
    app.include_router(jobs.router)
    app.include_router(reports.router)
    app.include_router(users.router)
    app.include_router(users.me)
    return app
