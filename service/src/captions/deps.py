"""What handlers depend on, as Annotated aliases; tests replace the functions by ``dependency_overrides``."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    """A transaction per request. It holds a pooled connection from its first statement to its end."""
    async with request.state.sessions() as session, session.begin():
        yield session


Session = Annotated[AsyncSession, Depends(open_session, scope="function")]
"""Committed before the response is sent: with FastAPI's default scope a client could hold a 201 for what is lost."""
