"""One attempt at one step: keep the lease while the step runs, then write down how it ended.

Between ``worker``, which claims, and ``ledger``, which decides. Only who holds the lease may write, so the attempt
stops its step as soon as a beat says that the lease is lost, or as soon as it may have run out while the database could
not be asked. Nothing is written then: whoever has the step now does that.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

import psycopg
import psycopg_pool
import structlog

from plimsoll_runtime import metrics, tracing
from plimsoll_runtime.jobs import ledger
from plimsoll_runtime.jobs.gate import check
from plimsoll_runtime.jobs.model import PermanentError, StepInput
from plimsoll_runtime.jobs.process import Child, StepError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from plimsoll_runtime.jobs.ledger import Claim
    from plimsoll_runtime.jobs.model import JobKind, Json, Step

UNREACHABLE: Final = (
    psycopg.OperationalError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg_pool.PoolTimeout,
    TimeoutError,
)
"""What a database that restarts, fails over (read-only for a while), hangs or is cut off looks like."""

BACKOFF: Final = timedelta(seconds=1)
BACKOFF_CAP: Final = timedelta(seconds=60)
BEATS_PER_LEASE: Final = 4
ERROR_LIMIT: Final = 2000
"""Characters of a step's error that are kept."""

log = structlog.stdlib.get_logger(__name__)


class Ending(StrEnum):
    """How an attempt ended, in the log's words."""

    DONE = "done"
    FAILED = "failed"
    HANDED_BACK = "handed back"
    LOST = "lease lost"


def backoff(attempt: int, *, draw: Callable[[], float] = random.random) -> timedelta:
    """Doubling with each attempt up to a cap, the upper half of it drawn, so that failures do not return in step."""
    whole = min(BACKOFF_CAP, BACKOFF * (1 << min(attempt - 1, 16)))
    return whole * (0.5 + draw() / 2)


class Attempt:
    """Runs a claimed step.

    Args:
        claim: what was claimed.
        kind: of the job.
        step: how to run it.
        pool: the worker's connections; one is held only while a statement runs.
        lease: how long each beat keeps the step.
        taken_at: monotonic time just before the claim: the lease cannot run out earlier than that plus its length.
    """

    def __init__(
        self,
        claim: Claim,
        step: Step,
        *,
        kind: JobKind,
        pool: psycopg_pool.AsyncConnectionPool[Any],
        lease: timedelta,
        taken_at: float,
    ) -> None:
        self._claim = claim
        self._kind = kind
        self._step = step
        self._pool = pool
        self._lease = lease
        self._good_until = taken_at + lease.total_seconds()
        self._progress = 0.0
        self._child: Child | None = None
        self._work: asyncio.Task[Json] | None = None
        self._handing_back = False
        self._lost = False

    def hand_back(self) -> None:
        """Stop the step and give it back, uncharged: the worker's time is up. One that is just ending still ends."""
        self._handing_back = True
        if self._work is not None:
            self._work.cancel()

    async def run(self) -> Ending:
        """To the end, whichever; raises nothing."""
        self._work = asyncio.create_task(self._run_step())
        beats = asyncio.create_task(self._keep_lease())
        try:
            await asyncio.wait({self._work})
            return await self._write_down(self._work)
        finally:
            beats.cancel()
            with suppress(asyncio.CancelledError):
                await beats

    async def _run_step(self) -> Json:
        payload = b""
        if self._handing_back:
            raise asyncio.CancelledError
        check(self._kind, self._claim.input)
        if self._step.load is not None:
            async with self._pool.connection() as connection:
                payload = await self._step.load(connection, self._claim.job)
        given = StepInput(
            job=self._claim.job,
            step=self._claim.step,
            attempt=self._claim.attempt,
            input=self._claim.input,
            results=self._claim.results,
            payload=payload,
            report=self._report,
        )
        try:
            async with asyncio.timeout(self._step.timeout_seconds):
                if not self._step.in_child:
                    return await cast("Awaitable[Json]", self._step.run(given))
                self._child = Child(self._step.run, lease_seconds=self._lease.total_seconds())
                return await self._child.run(given)
        except TimeoutError:
            raise StepError(f"took longer than {self._step.timeout_seconds:g} s") from None

    def _report(self, share: float) -> None:
        self._progress = max(0.0, min(1.0, share))

    async def _keep_lease(self) -> None:
        tracing.untraced()
        while True:
            await asyncio.sleep(self._lease.total_seconds() / BEATS_PER_LEASE)
            asked_at = time.monotonic()
            try:
                held = await self._ask(
                    lambda c: ledger.beat(c, self._claim, lease=self._lease, progress=self._progress)
                )
            except UNREACHABLE as error:
                held = asked_at + self._lease.total_seconds() / BEATS_PER_LEASE < self._good_until
                await log.awarning("beat failed", error=str(error))
            else:
                self._good_until = asked_at + self._lease.total_seconds()
            if not held:
                self._lost = True
                if self._work is not None:
                    self._work.cancel()
                return
            if self._child is not None:
                self._child.renew()

    async def _write_down(self, work: asyncio.Task[Json]) -> Ending:
        if self._lost:
            return Ending.LOST
        if work.cancelled():
            return await self._persist(Ending.HANDED_BACK, lambda c: ledger.release(c, self._claim))
        error = work.exception()
        if error is None:
            result = work.result()
            try:
                return await self._persist(Ending.DONE, lambda c: self._complete(c, result))
            except (psycopg.DataError, TypeError) as refused:
                error = PermanentError(f"its result cannot be stored: {refused}")
        if isinstance(error, StepError | PermanentError):
            said = str(error)
        else:
            await log.aerror("step raised", exc_info=error)
            said = f"{type(error).__name__}: {error}"
        said = said.replace("\0", "")[:ERROR_LIMIT]
        permanent = isinstance(error, PermanentError)
        return await self._persist(Ending.FAILED, lambda c: self._fail(c, said, permanent=permanent))

    async def _complete(self, connection: psycopg.AsyncConnection[Any], result: Json) -> bool:
        state = await ledger.complete(connection, self._claim, result=result)
        if state == ledger.JobStatus.SUCCEEDED:
            metrics.JOBS_FINISHED.labels(self._claim.kind, state).inc()
        return state is not None

    async def _fail(self, connection: psycopg.AsyncConnection[Any], said: str, *, permanent: bool) -> bool:
        retry_in = backoff(self._claim.attempt)
        state = await ledger.fail(connection, self._claim, error=said, retry_in=retry_in, permanent=permanent)
        if state == ledger.DEAD:
            metrics.JOBS_FINISHED.labels(self._claim.kind, ledger.JobStatus.FAILED).inc()
        return state is not None

    async def _persist(
        self, ending: Ending, write: Callable[[psycopg.AsyncConnection[Any]], Awaitable[bool]]
    ) -> Ending:
        """Write while the lease lives: a database that restarts just now must not cost a finished step its result."""
        while time.monotonic() < self._good_until:
            try:
                return ending if await self._ask(write) else Ending.LOST
            except UNREACHABLE as error:
                await log.awarning("ledger unreachable", error=str(error))
                await asyncio.sleep(self._lease.total_seconds() / BEATS_PER_LEASE / 4)
        return Ending.LOST

    async def _ask(self, call: Callable[[psycopg.AsyncConnection[Any]], Awaitable[bool]]) -> bool:
        """One statement, in a fraction of the lease: a connection that went dead must not outlive it."""
        async with (
            asyncio.timeout(self._lease.total_seconds() / BEATS_PER_LEASE),
            self._pool.connection() as connection,
        ):
            return await call(connection)
