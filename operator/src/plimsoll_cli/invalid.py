"""One sentence about the first field that a model refuses: its path, what it says, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_TYPES: Final = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text; put it into quotes",
    "bool_type": "true or false",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of names to values",
    "model_attributes_type": "a mapping of names to values",
    "tuple_type": "a list",
    "list_type": "a list",
}
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "less than {0}, the least that is allowed; set it to {0} or more"),
    "less_than_equal": ("le", "more than {0}, the most that is allowed; set it to {0} or less"),
    "string_too_short": ("min_length", "shorter than {0} character; give it one"),
    "string_too_long": ("max_length", "longer than the {0} characters that are allowed; shorten it"),
    "too_short": ("min_length", "shorter than the {0} items that are needed; add some"),
    "too_long": ("max_length", "longer than the {0} items that are allowed; remove some"),
    "string_pattern_mismatch": ("pattern", "not of the form {0}; use lower-case letters, digits and hyphens"),
    "enum": ("expected", "none of {0}; choose one of these"),
}


def sentence(error: ValidationError, *, strangers: Iterable[str] = ()) -> str:
    """What is wrong; ``strangers`` are warnings that may name the cause of a missing field."""
    details = error.errors(include_url=False)
    first, more = details[0], len(details) - 1
    path = _path(first["loc"])
    if first["type"] == "missing":
        parent = path.rpartition(".")[0]
        near = [each for each in strangers if each.startswith(f"{parent}.") and "did you mean" in each]
        said = f"{path} is missing; {near[0] if near else 'add it.'}"
    else:
        said = f"{path}: {_what(first)}."
    return f"{said} ({more} more to mend after that.)" if more else said


def _what(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    value = "the value" if "secretRef" in detail["loc"] else shown(detail["input"])
    if kind == "string_pattern_mismatch" and "A-Z" in context["pattern"]:
        return f"{value} is not of the form {context['pattern']}; use letters, digits, hyphens, dots and underscores"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = context.get(name)
        return f"{value} is {words.format(str(bound).replace(chr(39), ''))}"
    if kind in _TYPES:
        return f"{value} is not {_TYPES[kind]}"
    return f"{value}: {detail['msg']}"


def _path(location: Iterable[int | str]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")


def shown(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """A value in a sentence; not what may be a URI, with a password in it."""
    if "://" in str(value):
        return "a URI"
    text = "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= 60 else f"{text[:60]}…"
