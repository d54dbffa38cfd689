"""The welcome mail's promise, made in the transaction that creates the user (``mail`` keeps it).

Who exists gets a mail, whichever process is killed when, and who was rolled back gets none. As a background task of the
request it could be lost: docs/explanation/background-work.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll_runtime.engine import driver_connection
from plimsoll_runtime.jobs import ledger

from captions.worker import WELCOME_MAIL, WelcomeInput

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncSession


async def welcome(session: AsyncSession, *, user_id: UUID, email: str) -> UUID:
    """Store the job; returns its id."""
    connection = await driver_connection(session)
    told = WelcomeInput(user_id=user_id, email=email)
    return await ledger.enqueue(connection, WELCOME_MAIL, input=told.model_dump(mode="json"))
