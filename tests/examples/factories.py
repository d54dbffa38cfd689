"""What tests need that exists: plain functions, all arguments optional, so that a test names only what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from captions.tables import Report

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


def report_in(**changes: object) -> dict[str, Any]:
    """The body of a POST /reports."""
    return {"report_id": str(uuid4()), "text": "it's 'principle'", **changes}


async def stored_report(session: AsyncSession, **changes: Any) -> Report:
    """A report that is there already."""
    report = Report(**{"id": uuid4(), "text": "it's 'principle'", **changes})
    session.add(report)
    await session.commit()
    return report
