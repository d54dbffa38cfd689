"""What comes in and goes out over HTTP."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from plimsoll_runtime.jobs.ledger import JobStatus
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NO_NUL: Final = r"^[^\x00]*$"
"""JSON's strings may hold the one character that PostgreSQL's cannot: a 422 rather than a failed INSERT."""


class JobAccepted(BaseModel):
    """The answer to a job that has been stored and will be run."""

    job_id: UUID
    status: JobStatus


class JobResult(BaseModel):
    """What a slide's job found."""

    text: str


class JobView(BaseModel):
    """A job as its owner sees it."""

    job_id: UUID
    status: JobStatus
    progress: Annotated[float, Field(ge=0, le=1)]
    attempts: int
    result: JobResult | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class ReportIn(BaseModel):
    """A viewer reports a mistake; the id is theirs, so that a repeated POST is seen to be one."""

    model_config = ConfigDict(extra="forbid")

    report_id: UUID
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=NO_NUL)]


class ReportView(BaseModel):
    """A stored report."""

    report_id: UUID
    text: str
    created_at: datetime


class Count(BaseModel):
    """How many there are."""

    count: int
