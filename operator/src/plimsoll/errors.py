"""Everything that the core and the operator raise on purpose, as one tree.

    PlimsollError
    ├── Terminal      an edit is needed: say so on the object, do not retry
    └── Retryable     the world is not ready: try again, with backoff
        ├── Conflict      somebody else wrote first
        ├── NotFound      the object is not there
        ├── Forbidden     the operator lacks a right
        ├── Unavailable   the API server does not answer
        └── ProbeFailed   the database server does not answer, or is full

The shell converts third-party errors into these once, at its border.
"""

from __future__ import annotations


class PlimsollError(Exception):
    """The root of the tree."""


class Terminal(PlimsollError):  # noqa: N818 - names a kind of outcome, as in the tree above
    """What is asked cannot be done until somebody edits the object."""


class Retryable(PlimsollError):  # noqa: N818 - names a kind of outcome, as in the tree above
    """What is asked cannot be done now; a later try may succeed."""


class Conflict(Retryable):
    """The object was changed since it was read."""


class NotFound(Retryable):
    """The object does not exist."""


class Forbidden(Retryable):
    """The API server refuses the operator this right."""


class Unavailable(Retryable):
    """The API server cannot be asked, or answers with an error of its own."""


class ProbeFailed(Retryable):
    """The database server could not be asked.

    Attributes:
        full: the server answered that no connection is left (SQLSTATE 53300): it is up, and exhausted.
    """

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full
