"""The worker process: claim, run, sweep, and leave without losing a step.

Connections, exactly: one that listens, and DB_POOL_SIZE - 1 in a pool for everything else. Notifications are hints, so
that a step starts within milliseconds; the poll every second is the truth, so that none is forgotten when the listening
connection breaks. Every worker sweeps: a step whose worker fell silent is another worker's within a lease and a poll.

On SIGTERM it stops claiming, lets the steps in its hands finish within PLIMSOLL_JOB_DEADLINE_SECONDS, hands the rest
back uncharged, and exits with 0. A database that does not take them back is given PLIMSOLL_LIFESPAN_SECONDS; then the
exit code is 1, and the leases run out.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
import psycopg_pool
import structlog

from plimsoll_runtime import metrics, telemetry, tracing
from plimsoll_runtime.connecting import connect_arguments
from plimsoll_runtime.errors import SettingsError
from plimsoll_runtime.exits import THREADS_SECONDS, Exit, leave_after
from plimsoll_runtime.jobs import ledger
from plimsoll_runtime.jobs.attempt import UNREACHABLE, Attempt, Ending
from plimsoll_runtime.stalls import Watchdog

if TYPE_CHECKING:
    from plimsoll_runtime.jobs.ledger import Claim
    from plimsoll_runtime.jobs.model import Registry
    from plimsoll_runtime.settings import Settings

POLLS_PER_SURVEY: Final = 10
"""How rarely what waits is counted: each worker does it, and most would say the same."""

SURVEYED: Final = 10_000
"""How many waiting steps are counted at most."""

log = structlog.stdlib.get_logger(__name__)


def work(registry: Registry, *, settings: Settings) -> int:
    """Run a registry's jobs until a signal; returns the exit code.

    Raises:
        StartError: something that the steps need is not there.
    """
    if registry.ready is not None:
        registry.ready()
    worker = Worker(registry, settings=settings)

    async def run() -> None:
        await worker.run()
        # A step that was handed back may have left a thread behind, and another worker has begun it anew.
        leave_after(THREADS_SECONDS, worker.exit)

    asyncio.run(run())
    return worker.exit


class Worker:
    """One worker process.

    Raises:
        SettingsError: DB_POOL_SIZE leaves nothing to work with.
    """

    def __init__(self, registry: Registry, *, settings: Settings) -> None:
        if settings.db_pool_size < 2:
            raise SettingsError(
                f"DB_POOL_SIZE is {settings.db_pool_size}, but a job worker opens at least 2 connections: "
                "1 listens for new jobs, the others work; declare 2 or more connections per process"
            )
        self._registry = registry
        self._settings = settings
        self.exit = Exit.CLEAN
        """How it ended: not clean where steps could not be handed back."""
        self._name = f"{settings.pgappname}/{os.getpid()}"
        self._lease = timedelta(seconds=settings.plimsoll_job_lease_seconds)
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._attempts: dict[asyncio.Task[None], Attempt] = {}
        self._pool: psycopg_pool.AsyncConnectionPool[Any] = psycopg_pool.AsyncConnectionPool(
            settings.database_url.reveal(),
            kwargs=connect_arguments(settings) | {"autocommit": True, "cursor_factory": tracing.TracedCursor},
            min_size=settings.db_pool_size - 1,
            max_size=settings.db_pool_size - 1,
            timeout=settings.plimsoll_job_lease_seconds / 2,
            open=False,
        )

    def stop(self) -> None:
        """Stop claiming, and begin to leave."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Until ``stop`` or a signal; then for as long as the job deadline allows."""
        loop = asyncio.get_running_loop()
        for received in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(received, self.stop)
        telemetry.configure()
        watchdog = Watchdog(seconds=self._settings.plimsoll_stall_seconds)
        watchdog.start()
        async with self._pool:
            side = [asyncio.create_task(each()) for each in (self._listen, self._sweep, self._survey)]
            await log.ainfo("worker started", worker=self._name, kinds=sorted(self._registry.kinds))
            try:
                await self._claim_until_stopped()
                await self._leave()
            finally:
                for task in side:
                    task.cancel()
                await asyncio.gather(*side, return_exceptions=True)
                watchdog.stop()
        await telemetry.flush(seconds=self._settings.plimsoll_lifespan_seconds)
        await log.ainfo("worker stopped", worker=self._name)

    async def _claim_until_stopped(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            free = self._settings.plimsoll_job_concurrency - len(self._attempts)
            if free and await self._claim(free) == free:
                continue
            try:
                async with asyncio.timeout(self._settings.plimsoll_job_poll_seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass  # the poll

    async def _claim(self, limit: int) -> int:
        taken_at = time.monotonic()
        try:
            async with self._pool.connection() as connection:
                claims = await ledger.claim(
                    connection, self._registry.steps, worker=self._name, limit=limit, lease=self._lease
                )
        except UNREACHABLE as error:
            await log.awarning("claim failed", error=str(error))
            return 0
        except psycopg.errors.UndefinedTable:
            raise SettingsError("the database has no ledger of jobs yet: run the app's migrations first") from None
        for claim in claims:
            self._start(claim, taken_at=taken_at)
        return len(claims)

    def _start(self, claim: Claim, *, taken_at: float) -> None:
        step = self._registry.steps[claim.kind, claim.step]
        kind = self._registry.kinds[claim.kind]
        attempt = Attempt(claim, step, kind=kind, pool=self._pool, lease=self._lease, taken_at=taken_at)
        task = asyncio.create_task(self._see_through(claim, attempt))
        self._attempts[task] = attempt
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._attempts[task]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("attempt broke; its lease will run out", exc_info=error)

    async def _see_through(self, claim: Claim, attempt: Attempt) -> None:
        began = time.monotonic()
        with (
            structlog.contextvars.bound_contextvars(job=str(claim.job), step=claim.step, attempt=claim.attempt),
            tracing.attempting(
                claim.kind, claim.job, step=claim.step, attempt=claim.attempt, traceparent=claim.traceparent
            ) as span,
            metrics.STEPS_RUNNING.labels(claim.kind, claim.step).track_inprogress(),
        ):
            await log.ainfo("step started", kind=claim.kind)
            ending = await attempt.run()
            seconds = time.monotonic() - began
            await log.ainfo("step ended", ending=ending.value, seconds=round(seconds, 3))
            metrics.STEP_SECONDS.labels(claim.kind, claim.step, ending.value).observe(seconds)
            span.set_attribute("plimsoll.ending", ending.value)
            if ending in {Ending.FAILED, Ending.LOST}:
                tracing.failed(span, ending.value)

    async def _leave(self) -> None:
        """Finish what fits into the deadline, hand back the rest."""
        if self._attempts:
            await log.ainfo("finishing", steps=len(self._attempts))
            await asyncio.wait(self._attempts, timeout=self._settings.plimsoll_job_deadline_seconds)
        if not self._attempts:
            return
        for attempt in self._attempts.values():
            attempt.hand_back()
        _, late = await asyncio.wait(self._attempts, timeout=self._settings.plimsoll_lifespan_seconds)
        if late:
            self.exit = Exit.UNCLOSED
            await log.aerror("not handed back in time; the leases will run out", steps=len(late))
            for task in late:
                task.cancel()

    async def _listen(self) -> None:
        """Hear of new work; reconnect for ever."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._settings.database_url.reveal(), autocommit=True, **connect_arguments(self._settings)
                ) as connection:
                    await connection.execute(f"LISTEN {ledger.CHANNEL}")
                    self._wake.set()  # something may have been missed while nobody listened
                    async for notification in connection.notifies():
                        if notification.payload in self._registry.kinds:
                            self._wake.set()
            except psycopg.Error as error:  # whatever it is: who does not listen again only hears later
                await log.awarning("listening connection lost", error=str(error))
            await asyncio.sleep(self._settings.plimsoll_job_poll_seconds)

    async def _sweep(self) -> None:
        """End the attempts of workers that fell silent, charged: a step that kills its worker must end one day."""
        while True:
            await asyncio.sleep(self._settings.plimsoll_job_poll_seconds)
            try:
                async with self._pool.connection() as connection:
                    for held in await ledger.expired(connection):
                        state = await ledger.fail(
                            connection,
                            held,
                            error="its worker fell silent and the lease ran out",
                            retry_in=timedelta(0),
                            if_expired=True,
                        )
                        if state == ledger.DEAD:
                            metrics.JOBS_FINISHED.labels(held.kind, ledger.JobStatus.FAILED).inc()
                        if state:
                            await log.awarning("lease ran out", job=str(held.job), step=held.step, attempt=held.attempt)
            except (psycopg.Error, *UNREACHABLE) as error:
                await log.awarning("sweep failed", error=str(error))

    async def _survey(self) -> None:
        """Count what waits. A kind that has nothing left is told as such, not as it was."""
        while True:
            try:
                async with self._pool.connection() as connection:
                    waiting = await ledger.waiting(connection, limit=SURVEYED)
                for kind in self._registry.kinds:
                    metrics.STEPS_WAITING.labels(kind).set(waiting.get(kind, 0))
            except (psycopg.Error, *UNREACHABLE) as error:
                await log.awarning("survey failed", error=str(error))
            await asyncio.sleep(self._settings.plimsoll_job_poll_seconds * POLLS_PER_SURVEY)
