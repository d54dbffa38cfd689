"""A job's input goes through its kind's model twice: when it is enqueued, and before each step that works on it.

Between the two lie a database that others can write to, and a deployment: an older worker may meet a newer app's input.
Apart from ``model``, so that a step's child process need not import pydantic.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from plimsoll_runtime.jobs.model import PermanentError

if TYPE_CHECKING:
    from plimsoll_runtime.jobs.model import JobKind, Json


class JobInputError(PermanentError):
    """The input is not what this kind of job takes; says where and in what way, never what it was."""


def check(kind: JobKind, given: Json) -> None:
    """Let it pass or not.

    Raises:
        JobInputError: it does not fit the kind's model.
    """
    if kind.input is None:
        return
    try:
        kind.input.model_validate_json(json.dumps(given))
    except ValidationError as error:
        mistakes = [
            f"{'.'.join(map(str, one['loc'])) or 'input'}: {one['type']}" for one in error.errors(include_input=False)
        ]
        raise JobInputError(f"the input is not what {kind.name} takes: {'; '.join(mistakes)}") from None
