"""/jobs: a slide goes in, its text comes out when a worker has read it."""

from typing import Annotated
from uuid import UUID

from fastapi import File, Response, UploadFile, status
from fastapi.concurrency import run_in_threadpool
from plimsoll_runtime.engine import driver_connection
from plimsoll_runtime.jobs import ledger
from plimsoll_runtime.openapi import documented
from sqlalchemy import select

from captions import slides
from captions.deps import CurrentUser, Once, Session
from captions.errors import NotASlideError, SlideTooLargeError, UnknownJobError
from captions.models import JobAccepted, JobResult, JobView
from captions.routes import ONCE, resource
from captions.tables import Slide
from captions.worker import READ_SLIDE, SlideInput

router = resource("jobs")


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[Once],
    responses=documented(*ONCE, SlideTooLargeError, NotASlideError),
)
async def create(
    file: Annotated[UploadFile, File()], user: CurrentUser, session: Session, response: Response
) -> JobAccepted:
    """Store the slide and its job in one transaction: neither is ever there without the other."""
    if file.size is None or file.size > slides.MAX_BYTES:
        raise SlideTooLargeError
    media_type = await run_in_threadpool(slides.media_type, file.file)
    await file.seek(0)
    content = await file.read()
    job = await ledger.enqueue(
        await driver_connection(session), READ_SLIDE, input=SlideInput(media_type=media_type).model_dump()
    )
    session.add(Slide(job_id=job, media_type=media_type, content=content, owner=user.subject))
    response.headers["location"] = f"{router.prefix}/{job}"
    return JobAccepted(job_id=job, status=ledger.JobStatus.QUEUED)


@router.get("/{job_id}", responses=documented(UnknownJobError))
async def read(job_id: UUID, user: CurrentUser, session: Session) -> JobView:
    """How far the job has come, and its result or error at the end. To anyone but its owner it does not exist."""
    owned = select(Slide.job_id).where(Slide.job_id == job_id, Slide.owner == user.subject)
    if await session.scalar(owned) is None:
        raise UnknownJobError
    state = await ledger.status(await driver_connection(session), job_id)
    if state is None:
        raise UnknownJobError
    return JobView(
        job_id=state.id,
        status=ledger.JobStatus(state.status),
        progress=state.progress,
        attempts=state.attempts,
        result=JobResult.model_validate(state.result) if state.result is not None else None,
        error=state.error,
        created_at=state.created_at,
        finished_at=state.finished_at,
    )
