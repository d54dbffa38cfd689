"""/reports: viewers' reports of caption mistakes. Sent = acknowledged = stored: the load tests count on it."""

from uuid import UUID

from fastapi import status
from plimsoll_runtime.incoming import Received
from plimsoll_runtime.openapi import documented
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from captions.deps import Session
from captions.errors import DuplicateReportError, UnknownReportError
from captions.models import Count, ReportIn, ReportView
from captions.routes import resource
from captions.tables import Report

router = resource("reports")


@router.post("", status_code=status.HTTP_201_CREATED, responses=documented(DuplicateReportError))
async def create(report: Received[ReportIn], session: Session) -> ReportView:
    """Store a report once; the same id again is refused."""
    values = {"id": report.report_id, "text": report.text}
    stored = await session.scalar(insert(Report).values(values).on_conflict_do_nothing().returning(Report))
    if stored is None:
        raise DuplicateReportError
    return _view(stored)


@router.get("/count")
async def count(session: Session) -> Count:
    """How many reports are stored."""
    return Count(count=await session.scalar(select(func.count()).select_from(Report)) or 0)


@router.get("/{report_id}", responses=documented(UnknownReportError))
async def read(report_id: UUID, session: Session) -> ReportView:
    """One report."""
    stored = await session.get(Report, report_id)
    if stored is None:
        raise UnknownReportError
    return _view(stored)


def _view(report: Report) -> ReportView:
    return ReportView(report_id=report.id, text=report.text, created_at=report.created_at)
