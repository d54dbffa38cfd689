"""How an exception is written into a log: its place and its kind, never what it says.

An exception's message often repeats the input that it could not bear: an e-mail address, a token, a row. Used by
``logs`` for every line with a traceback, and by the child process of a job's step. Standard library only.
"""

from __future__ import annotations

import traceback


def place_and_kind(error: BaseException) -> str:
    """A traceback as Python prints it, causes included, without the messages; an SQLSTATE is kept."""
    return "".join(_lines(traceback.TracebackException.from_exception(error), error)).rstrip()


def kind(error: BaseException) -> str:
    """The class, with its module where that is not Python's own."""
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _lines(summary: traceback.TracebackException, error: BaseException) -> list[str]:
    lines: list[str] = []
    if summary.__cause__ is not None and error.__cause__ is not None:
        lines += [*_lines(summary.__cause__, error.__cause__), "\nwhich was the cause of\n\n"]
    elif summary.__context__ is not None and error.__context__ is not None and not error.__suppress_context__:
        lines += [*_lines(summary.__context__, error.__context__), "\nduring whose handling came\n\n"]
    lines += ["Traceback (most recent call last):\n", *summary.stack.format()]
    sqlstate = getattr(error, "sqlstate", None)
    lines.append(kind(error) + (f" ({sqlstate})" if isinstance(sqlstate, str) else "") + "\n")
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            lines += ["\none of which is\n\n", place_and_kind(each), "\n"]
    return lines
