"""Typed functions over ``sql/queries.sql``: the only code that speaks to the ledger.

Each takes the caller's connection. ``enqueue`` is thereby part of the caller's transaction: the job exists exactly if
the data that it works on does. The worker's calls run on autocommitting connections, a transaction each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from plimsoll_runtime import tracing
from plimsoll_runtime.jobs.gate import check

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta
    from typing import LiteralString
    from uuid import UUID

    from psycopg import AsyncConnection

    from plimsoll_runtime.jobs.model import JobKind, Json

CHANNEL: Final = "plimsoll_jobs"
"""What enqueue, fail and release notify, and workers listen on; the payload is the kind of the job."""

_SQL = files(__package__) / "sql"
SCHEMA: Final = (_SQL / "schema.sql").read_text(encoding="utf-8")
"""The ledger's tables, for the app's migrations."""
TRACE: Final = (_SQL / "trace.sql").read_text(encoding="utf-8")
"""What they got later, for a migration of its own."""


def _queries(text: str) -> dict[str, LiteralString]:
    """The statements of a file, by the ``-- name:`` above each."""
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


_Q: Final = _queries((_SQL / "queries.sql").read_text(encoding="utf-8"))


DEAD: Final = "dead"
"""The state of a step whose job has failed with it."""


class JobStatus(StrEnum):
    """A job as its owner sees it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class JobState:
    """A job and how far it has come."""

    id: UUID
    kind: str
    status: str
    progress: float
    attempts: int
    result: Json | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Held:
    """One attempt at one step. The lease is the fencing token: each claim has a new one."""

    job: UUID
    kind: str
    step: str
    lease: UUID
    attempt: int

    @property
    def key(self) -> dict[str, Any]:
        """What every write of this attempt must match."""
        return {"job": self.job, "step": self.step, "token": self.lease}


@dataclass(frozen=True, kw_only=True)
class Claim(Held):
    """A step just claimed, with what it works on."""

    input: Json
    results: Json
    traceparent: str | None


async def enqueue(connection: AsyncConnection[Any], kind: JobKind, *, input: Json) -> UUID:  # noqa: A002 - the job's word
    """Write a job and its steps in the caller's transaction; workers hear of it when that commits.

    Raises:
        JobInputError: the input does not fit the kind's model.
    """
    check(kind, input)
    job = uuid4()
    steps = [{"name": s.name, "needs": s.needs, "max_attempts": s.max_attempts} for s in kind.steps]
    parameters = {"job": job, "kind": kind.name, "input": Jsonb(input), "steps": Jsonb(steps)}
    with tracing.enqueuing(kind.name, job) as traceparent:
        await connection.execute(_Q["enqueue"], parameters | {"traceparent": traceparent})
    return job


async def status(connection: AsyncConnection[Any], job: UUID) -> JobState | None:
    """How far a job has come; none if there is no such job."""
    async with connection.cursor(row_factory=class_row(JobState)) as cursor:
        await cursor.execute(_Q["status"], {"job": job})
        return await cursor.fetchone()


async def claim(
    connection: AsyncConnection[Any], steps: Iterable[tuple[str, str]], *, worker: str, limit: int, lease: timedelta
) -> list[Claim]:
    """Take up to ``limit`` ready ones among ``steps``, pairs of kind and name; each is charged an attempt."""
    kinds, names = (list(column) for column in zip(*steps, strict=True))
    parameters = {"kinds": kinds, "steps": names, "worker": worker, "limit": limit, "lease": lease}
    async with connection.cursor(row_factory=class_row(Claim)) as cursor:
        await cursor.execute(_Q["claim"], parameters)
        return await cursor.fetchall()


async def beat(connection: AsyncConnection[Any], held: Held, *, lease: timedelta, progress: float) -> bool:
    """Prolong the lease and report progress; false if the lease is lost: stop, and write nothing."""
    return await _hit(connection, "beat", held.key | {"lease": lease, "progress": progress})


async def complete(connection: AsyncConnection[Any], held: Held, *, result: Json) -> str | None:
    """End the step, free those that needed it, end the job after its last.

    Returns:
        the job's state, open or succeeded; none if the lease is lost.
    """
    return await _state(connection, "complete", held.key | {"result": Jsonb(result)})


async def fail(
    connection: AsyncConnection[Any],
    held: Held,
    *,
    error: str,
    retry_in: timedelta,
    permanent: bool = False,
    if_expired: bool = False,
) -> str | None:
    """End the attempt: ready again after ``retry_in``, or dead with its job.

    ``if_expired`` is the sweeper's: the attempt is ended only if its lease has still run out.

    Returns:
        the step's state, ready or dead; none if the lease is lost.
    """
    outcome = {"error": error, "retry_in": retry_in, "permanent": permanent, "if_expired": if_expired}
    return await _state(connection, "fail", held.key | outcome)


async def release(connection: AsyncConnection[Any], held: Held) -> bool:
    """Hand the step back unfinished and give its attempt back; false if the lease is lost."""
    return await _hit(connection, "release", held.key)


async def expired(connection: AsyncConnection[Any]) -> list[Held]:
    """Attempts whose lease has run out."""
    async with connection.cursor(row_factory=class_row(Held)) as cursor:
        await cursor.execute(_Q["expired"])
        return await cursor.fetchall()


async def waiting(connection: AsyncConnection[Any], *, limit: int) -> dict[str, int]:
    """How many steps of each kind of job could be taken now; counted up to ``limit``, so that it stays cheap."""
    return dict(await (await connection.execute(_Q["waiting"], {"limit": limit})).fetchall())


async def _hit(connection: AsyncConnection[Any], name: str, parameters: dict[str, Any]) -> bool:
    cursor = await connection.execute(_Q[name], parameters)
    return await cursor.fetchone() is not None


async def _state(connection: AsyncConnection[Any], name: str, parameters: dict[str, Any]) -> str | None:
    row = await (await connection.execute(_Q[name], parameters)).fetchone()
    return row[0] if row else None
