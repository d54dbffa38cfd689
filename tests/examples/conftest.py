"""What the tests of this folder stand on; a team copies it with them.

One PostgreSQL server for the run, one app for all tests, one transaction for each test: whatever the app commits in it
ends in a savepoint, and all of it is rolled back in the end. So no test sees another's rows, which the random order
proves in each run (``shuffling``).
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from captions.app import State, create_app
from captions.deps import open_session
from examples.shuffling import shuffled
from fastapi.testclient import TestClient
from httpx2 import ASGITransport, AsyncClient
from integration.service.programs import run_migration
from plimsoll_runtime.settings import Settings
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from support.postgres import PrivatePostgres
from support.tokens import TOKENS, bearer

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

HERE = Path(__file__).parent
SEED = os.environ.setdefault("EXAMPLES_SEED", str(random.SystemRandom().randrange(10**6)))
"""In the environment, so that lanes of one run (pytest-xdist) agree on it."""

Sessions = async_sessionmaker[AsyncSession]
Overrides = dict[Callable[..., Any], Callable[..., Any]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only the tests of this folder, in the places that they have together."""
    places = [place for place, item in enumerate(items) if HERE in item.path.parents]
    for place, item in zip(places, shuffled([items[place] for place in places], seed=SEED), strict=True):
        items[place] = item


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"tests/examples ran in a random order: EXAMPLES_SEED={SEED} repeats it")


# ---- the database and the app: one for the run -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for the run, since the engine belongs to it."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    with PrivatePostgres(max_connections=20) as server:
        migrated = run_migration(server.url())
        assert migrated.returncode == 0, migrated.stderr
        server.execute("CREATE DATABASE contract TEMPLATE app OWNER owner")
        yield server


@pytest.fixture(scope="session")
def settings(postgres: PrivatePostgres) -> Settings:
    return in_memory(postgres.url())


def in_memory(url: str) -> Settings:
    """Settings for a database of the test's own."""
    return Settings(database_url=url, db_pool_size=2)


@pytest.fixture(scope="session")
def app(settings: Settings) -> FastAPI:
    return create_app(settings, TOKENS)


@pytest.fixture(scope="session")
async def state(app: FastAPI) -> AsyncIterator[State]:
    """What the app's lifespan has opened, on the loop of the async tests."""
    async with app.router.lifespan_context(app) as state:
        yield cast("State", state)


@pytest.fixture
def overrides(app: FastAPI) -> Iterator[Overrides]:
    """What this test puts in the place of dependencies; gone after it, whatever becomes of it."""
    yield app.dependency_overrides
    app.dependency_overrides.clear()


# ---- the transaction: one for each test ------------------------------------------------------------------------------


@asynccontextmanager
async def rolled_back(engine: AsyncEngine) -> AsyncIterator[Sessions]:
    """Sessions on one connection, whose commits are savepoints of a transaction that never is committed."""
    async with engine.connect() as connection:
        transaction = await connection.begin()
        try:
            yield async_sessionmaker(connection, expire_on_commit=False, join_transaction_mode="create_savepoint")
        finally:
            await transaction.rollback()


def joining(sessions: Sessions) -> Callable[[], AsyncIterator[AsyncSession]]:
    """The app's ``open_session``, on sessions of the test's transaction."""

    async def open_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session, session.begin():
            yield session

    return open_session


@pytest.fixture
async def sessions(state: State) -> AsyncIterator[Sessions]:
    async with rolled_back(state["sessions"].kw["bind"]) as sessions:
        yield sessions


@pytest.fixture
async def session(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """For what a test writes or reads beside the app, in the app's own transaction."""
    async with sessions() as session:
        yield session


# ---- clients ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def async_client(
    app: FastAPI, state: State, overrides: Overrides, sessions: Sessions
) -> AsyncIterator[AsyncClient]:
    """For async tests: the app is called on the test's own loop. The transport knows no lifespan: ``state`` is its."""
    overrides[open_session] = joining(sessions)

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": dict(state)}, receive, send)

    transport = ASGITransport(app=with_state)
    async with AsyncClient(transport=transport, base_url="http://test", headers=bearer()) as client:
        yield client


@pytest.fixture
def client(app: FastAPI, overrides: Overrides) -> Iterator[TestClient]:
    """For sync tests: the whole app, lifespan included, on a loop of its own; the transaction lives there as well."""
    with TestClient(app, headers=bearer()) as client:
        assert client.portal is not None
        engine = client.app_state["sessions"].kw["bind"]
        with client.portal.wrap_async_context_manager(rolled_back(engine)) as sessions:
            overrides[open_session] = joining(sessions)
            yield client
