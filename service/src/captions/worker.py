"""The jobs of this service: ``python -m plimsoll_runtime work captions.worker:jobs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID  # noqa: TC003 - pydantic reads it

from plimsoll_runtime.incoming import Incoming
from plimsoll_runtime.jobs.model import JobKind, PermanentError, Registry, Step

from captions.mail import deliver
from captions.ocr import ready, recognise

if TYPE_CHECKING:
    from psycopg import AsyncConnection


class SlideInput(Incoming):
    """What the job is told of its slide."""

    media_type: str


class WelcomeInput(Incoming):
    """Whom to welcome."""

    user_id: UUID
    email: str


async def slide_of(connection: AsyncConnection[Any], job: UUID) -> bytes:
    """The upload that belongs to a job: written in the job's own transaction."""
    row = await (await connection.execute("SELECT content FROM slide WHERE job_id = %s", [job])).fetchone()
    if row is None:
        raise PermanentError("the slide is no longer stored")
    content: bytes = row[0]
    return content


READ_SLIDE: Final = JobKind(
    "captions.read_slide",
    (Step("ocr", run=recognise, load=slide_of, timeout_seconds=120),),
    input=SlideInput,
)

WELCOME_MAIL: Final = JobKind(
    "captions.welcome_mail", (Step("deliver", run=deliver, timeout_seconds=60),), input=WelcomeInput
)

jobs = Registry(READ_SLIDE, WELCOME_MAIL, ready=ready)
