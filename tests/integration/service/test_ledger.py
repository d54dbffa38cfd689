"""The state machine itself, one statement at a time, and all at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from integration.service.job_kinds import GATED, WIDE
from plimsoll_runtime.jobs import ledger
from plimsoll_runtime.jobs.model import JobKind, Registry, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from integration.service.programs import Database
    from plimsoll_runtime.jobs.ledger import Claim

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

LEASE = timedelta(seconds=30)
GONE = timedelta(seconds=-1)
Connection = psycopg.AsyncConnection[Any]


@pytest.fixture
async def db(database: Database) -> AsyncIterator[Connection]:
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        yield connection


async def take(db: Connection, *kinds: JobKind, lease: timedelta = LEASE, limit: int = 1) -> list[Claim]:
    return await ledger.claim(db, Registry(*kinds).steps, worker="w", limit=limit, lease=lease)


async def status_of(db: Connection, claim: Claim) -> str:
    state = await ledger.status(db, claim.job)
    assert state is not None
    return state.status


async def test_a_job_comes_into_being_with_its_callers_transaction_or_not_at_all(db: Connection) -> None:
    async with db.transaction(force_rollback=True):
        lost = await ledger.enqueue(db, GATED, input={})
    kept = await ledger.enqueue(db, GATED, input={"a": 1})
    assert await ledger.status(db, lost) is None
    [claim] = await take(db, GATED, limit=9)
    assert (claim.job, claim.attempt, claim.input) == (kept, 1, {"a": 1})


async def test_a_worker_leaves_what_it_does_not_know(db: Connection) -> None:
    await ledger.enqueue(db, GATED, input={})
    assert await take(db, WIDE) == []
    renamed = JobKind(GATED.name, (Step("renamed", run=GATED.steps[0].run),))
    assert await take(db, renamed) == []


async def test_who_lost_the_lease_writes_nothing(db: Connection) -> None:
    await ledger.enqueue(db, GATED, input={})
    [zombie] = await take(db, GATED, lease=GONE)
    [held] = await ledger.expired(db)
    assert await ledger.fail(db, held, error="silent", retry_in=timedelta(0), if_expired=True)
    [owner] = await take(db, GATED)
    assert owner.attempt == 2
    assert owner.lease != zombie.lease
    assert not await ledger.beat(db, zombie, lease=LEASE, progress=0.5)
    assert not await ledger.complete(db, zombie, result={"by": "zombie"})
    assert not await ledger.fail(db, zombie, error="zombie", retry_in=LEASE)
    assert not await ledger.release(db, zombie)
    assert await ledger.complete(db, owner, result={"by": "owner"})
    assert not await ledger.complete(db, owner, result={"by": "owner again"})
    state = await ledger.status(db, owner.job)
    assert state is not None
    assert (state.status, state.result, state.error) == ("succeeded", {"by": "owner"}, None)


async def test_the_sweeper_spares_a_lease_that_was_renewed_meanwhile(db: Connection) -> None:
    await ledger.enqueue(db, GATED, input={})
    [claim] = await take(db, GATED, lease=GONE)
    [held] = await ledger.expired(db)
    assert await ledger.beat(db, claim, lease=LEASE, progress=0)
    assert not await ledger.fail(db, held, error="silent", retry_in=timedelta(0), if_expired=True)
    assert await ledger.complete(db, claim, result={})


async def test_handing_back_is_free_and_failing_is_not(db: Connection) -> None:
    await ledger.enqueue(db, GATED, input={})
    for _ in range(5):
        [claim] = await take(db, GATED)
        assert claim.attempt == 1
        assert await status_of(db, claim) == "running"
        assert await ledger.release(db, claim)
        assert await status_of(db, claim) == "queued"
    for attempt in (1, 2, 3):
        [claim] = await take(db, GATED)
        assert claim.attempt == attempt
        assert await ledger.fail(db, claim, error=f"failure {attempt}", retry_in=timedelta(0))
    assert await take(db, GATED) == []
    state = await ledger.status(db, claim.job)
    assert state is not None
    assert (state.status, state.error, state.attempts) == ("failed", "failure 3", 3)


async def test_a_failed_step_waits_for_its_backoff(db: Connection) -> None:
    await ledger.enqueue(db, GATED, input={})
    [claim] = await take(db, GATED)
    assert await ledger.fail(db, claim, error="later", retry_in=timedelta(hours=1))
    assert await take(db, GATED) == []


async def test_a_dead_step_ends_its_job_and_fences_the_others(db: Connection) -> None:
    await ledger.enqueue(db, WIDE, input={})
    one, other = await take(db, WIDE, limit=2)
    assert await ledger.fail(db, one, error="bad", retry_in=LEASE, permanent=True)
    assert not await ledger.beat(db, other, lease=LEASE, progress=0)
    assert not await ledger.complete(db, other, result={})
    assert await take(db, WIDE, limit=9) == []
    assert await status_of(db, one) == "failed"


async def test_a_foreign_lease_is_no_lease(db: Connection) -> None:
    await ledger.enqueue(db, GATED, input={})
    [claim] = await take(db, GATED)
    assert not await ledger.complete(db, replace(claim, lease=uuid4()), result={})


async def test_siblings_that_end_at_once_free_their_join_exactly_once(db: Connection, database: Database) -> None:
    jobs = [await ledger.enqueue(db, WIDE, input={}) for _ in range(12)]
    async with AsyncExitStack() as stack:
        open_ = psycopg.AsyncConnection.connect
        connections = [await stack.enter_async_context(await open_(database.url, autocommit=True)) for _ in range(16)]

        async def drain(connection: Connection) -> None:
            while claims := await take(connection, WIDE, limit=1):
                assert await ledger.complete(connection, claims[0], result={"step": claims[0].step})

        while [job for job in jobs if (await _status(db, job)) != "succeeded"]:
            await asyncio.gather(*(drain(connection) for connection in connections))
    done = await db.execute("SELECT count(*), max(attempt), min(steps_left) FROM plimsoll_jobs.step, plimsoll_jobs.job")
    assert await done.fetchone() == (12 * 9 * 12, 1, 0)


async def _status(db: Connection, job: object) -> str | None:
    state = await ledger.status(db, job)  # type: ignore[arg-type] # a UUID
    return state.status if state else None
