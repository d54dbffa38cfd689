"""What handlers depend on, as Annotated aliases; tests replace the functions by ``dependency_overrides``."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from plimsoll_runtime.errors import UnauthorizedError
from plimsoll_runtime.tokens import Principal
from sqlalchemy.ext.asyncio import AsyncSession

BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT", description="docs/how-to/authenticate.md")


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    """A transaction per request. It holds a pooled connection from its first statement to its end."""
    async with request.state.sessions() as session, session.begin():
        yield session


async def current_user(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> Principal:
    """Who asks, by the request's bearer token.

    Raises:
        UnauthorizedError: there is no token, or (``BadTokenError``) none that is valid here.
    """
    if credentials is None:
        raise UnauthorizedError
    principal: Principal = await request.state.verifier.verify(credentials.credentials)
    return principal


Session = Annotated[AsyncSession, Depends(open_session, scope="function")]
"""Committed before the response is sent: with FastAPI's default scope a client could hold a 201 for what is lost."""

CurrentUser = Annotated[Principal, Depends(current_user)]
"""A handler that asks for it answers nobody without a valid token."""
