"""What tests need that exists: plain functions, all arguments optional, so that a test names only what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from captions.tables import Account, Report
from support.tokens import bearer

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


def user_in(**changes: object) -> dict[str, Any]:
    """The body of a POST /users."""
    return {"email": f"{uuid4().hex}@example.org", "name": "Ada", "age": 36, **changes}


async def stored_user(session: AsyncSession, **changes: Any) -> Account:
    """A user who is there already."""
    user = Account(**{"id": uuid4(), "subject": uuid4().hex, **user_in(), **changes})
    session.add(user)
    await session.commit()
    return user


def token_of(user: Account, *scopes: str) -> dict[str, str]:
    """The header of a request by this user."""
    return bearer(user.subject, *scopes)
