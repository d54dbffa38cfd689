"""The error tree.

    PlimsollError
    ├── SettingsError         the environment breaks the contract; said in one sentence, exit code 2
    ├── TargetError           the app or registry cannot be imported; exit code 3
    ├── StartError            the app, or what a worker needs, does not start; exit code 3
    └── ServiceError          a request that cannot be served; carries its HTTP status
        ├── BadRequestError         400
        ├── UnauthorizedError       401, with WWW-Authenticate
        │   └── BadTokenError           401, saying that it is the token
        ├── ForbiddenError          403, with WWW-Authenticate
        ├── NotFoundError           404
        ├── ConflictError           409
        ├── TooLargeError           413
        ├── UnsupportedMediaError   415
        ├── UnprocessableError      422
        ├── TooManyRequestsError    429, with Retry-After
        └── BusyError               503, with Retry-After
            └── TooLateError            503, for a request that was given up

A service derives its own errors from these; a class's docstring is its default sentence. They are Starlette's
HTTPExceptions too, since FastAPI lets only those pass when they are raised while it reads a body (``limits``).
``problems`` turns them into answers; ``jobs.model`` has the one that a job's step raises.
"""

from __future__ import annotations

import inspect
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Mapping


class PlimsollError(Exception):
    """Something that Plimsoll's runtime can name."""


class SettingsError(PlimsollError):
    """The environment does not honour the contract."""


class TargetError(PlimsollError):
    """What the process should run cannot be imported."""


class StartError(PlimsollError):
    """What the process should run does not start."""


class ServiceError(PlimsollError, HTTPException):
    """The request cannot be served."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    default_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        HTTPException.__init__(
            self,
            status_code=self.status,
            detail=detail or inspect.cleandoc(type(self).__doc__ or self.status.phrase),
            headers={**self.default_headers, **(headers or {})},
        )


class BadRequestError(ServiceError):
    """The request cannot be understood."""

    status = HTTPStatus.BAD_REQUEST


class UnauthorizedError(ServiceError):
    """This needs a bearer token."""

    status = HTTPStatus.UNAUTHORIZED
    default_headers: ClassVar[Mapping[str, str]] = {"www-authenticate": "Bearer"}


class BadTokenError(UnauthorizedError):
    """The bearer token is not valid here."""

    default_headers: ClassVar[Mapping[str, str]] = {"www-authenticate": 'Bearer error="invalid_token"'}


class ForbiddenError(ServiceError):
    """The bearer token does not allow this."""

    status = HTTPStatus.FORBIDDEN
    default_headers: ClassVar[Mapping[str, str]] = {"www-authenticate": 'Bearer error="insufficient_scope"'}


class NotFoundError(ServiceError):
    """There is no such thing here."""

    status = HTTPStatus.NOT_FOUND


class ConflictError(ServiceError):
    """This contradicts what is already stored."""

    status = HTTPStatus.CONFLICT


class TooLargeError(ServiceError):
    """The request is larger than this service takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMediaError(ServiceError):
    """This kind of content cannot be read here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class UnprocessableError(ServiceError):
    """The content is well-formed but cannot be processed."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooManyRequestsError(ServiceError):
    """Too many requests at a time."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    default_headers: ClassVar[Mapping[str, str]] = {"retry-after": "1"}


class BusyError(ServiceError):
    """The service cannot take this request at the moment; try again shortly."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    default_headers: ClassVar[Mapping[str, str]] = {"retry-after": "1"}


class TooLateError(BusyError):
    """The request took too long and was given up; it may or may not have taken effect."""
