"""What handlers depend on, as Annotated aliases; tests replace the functions by ``dependency_overrides``."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from plimsoll_runtime import idempotency
from plimsoll_runtime.engine import driver_connection
from plimsoll_runtime.errors import ForbiddenError, UnauthorizedError
from plimsoll_runtime.tokens import Principal
from sqlalchemy.ext.asyncio import AsyncSession

BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT", description="docs/how-to/authenticate.md")

ADMIN: Final = "users:admin"
"""The scope of those who look after other people's users."""


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


async def claim_key(request: Request, session: Session, user: CurrentUser, key: idempotency.Key = None) -> None:
    """Where the client sends an Idempotency-Key, do what it asks for once, in the handler's own transaction."""
    if key is not None:
        lifetime = timedelta(seconds=request.state.settings.plimsoll_idempotency_seconds)
        connection = await driver_connection(session)
        await idempotency.claim(request, connection, owner=user.subject, key=key, lifetime=lifetime)


Once = Depends(claim_key, scope="function")
"""For ``dependencies=`` of a POST."""


async def administrator(user: CurrentUser) -> Principal:
    """Who asks, if the token has the scope for other people's users.

    Raises:
        ForbiddenError: it has not.
    """
    if ADMIN not in user.scopes:
        raise ForbiddenError(f"This needs a token with the scope {ADMIN}.")
    return user


Administrator = Annotated[Principal, Depends(administrator)]
"""A handler that asks for it answers only who may look after other people's users."""
