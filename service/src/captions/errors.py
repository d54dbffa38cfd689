"""What can go wrong in this service, each with its HTTP status; the docstring is the sentence that the client reads.

ServiceError (plimsoll_runtime.errors)
├── NotFoundError          UnknownJobError, UnknownReportError
├── ConflictError          DuplicateReportError
├── TooLargeError          SlideTooLargeError
└── UnsupportedMediaError  NotASlideError
"""

from plimsoll_runtime.errors import ConflictError, NotFoundError, TooLargeError, UnsupportedMediaError


class UnknownJobError(NotFoundError):
    """There is no job with this id."""


class UnknownReportError(NotFoundError):
    """There is no report with this id."""


class DuplicateReportError(ConflictError):
    """A report with this id is already stored."""


class SlideTooLargeError(TooLargeError):
    """A slide may have at most 10 MiB and 50 million pixels."""


class NotASlideError(UnsupportedMediaError):
    """This file is not an image that can be read: expected PNG, JPEG, TIFF, WebP, BMP or GIF."""
