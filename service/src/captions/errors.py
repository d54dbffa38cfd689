"""What can go wrong in this service, each with its HTTP status; the docstring is the sentence that the client reads.

ServiceError (plimsoll_runtime.errors)
├── NotFoundError          UnknownJobError, UnknownReportError, UnknownUserError, NoUserYetError
├── ConflictError          DuplicateReportError, EmailTakenError, UserExistsError
├── TooLargeError          SlideTooLargeError
└── UnsupportedMediaError  NotASlideError
"""

from typing import Final

from plimsoll_runtime.errors import ConflictError, NotFoundError, TooLargeError, UnsupportedMediaError


class UnknownJobError(NotFoundError):
    """There is no job with this id."""


class UnknownReportError(NotFoundError):
    """There is no report with this id."""


class DuplicateReportError(ConflictError):
    """A report with this id is already stored."""


class UnknownUserError(NotFoundError):
    """There is no user with this id."""


class NoUserYetError(NotFoundError):
    """No user belongs to this token yet; POST /users makes one."""


class EmailTakenError(ConflictError):
    """A user with this e-mail address exists already."""


class UserExistsError(ConflictError):
    """A user belongs to this token already; see /me."""


class SlideTooLargeError(TooLargeError):
    """A slide may have at most 10 MiB and 50 million pixels."""


class NotASlideError(UnsupportedMediaError):
    """This file is not an image that can be read: expected PNG, JPEG, TIFF, WebP, BMP or GIF."""


CONFLICTS: Final = {"uq_account_email": EmailTakenError, "uq_account_subject": UserExistsError}
"""What a broken constraint means, by its name in ``tables``."""
