"""What an app's OpenAPI says of errors: the problem details that it answers with, and no status that it never has.

Beside ``problems``, which calls ``install``. A route names its own errors, the rest follows from what it takes::

    @router.get("/{job_id}", responses=documented(UnknownJobError))

FastAPI alone would document 422 with a body that no client ever gets here, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from plimsoll_runtime.errors import BadTokenError, BusyError, TooLargeError, UnauthorizedError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from plimsoll_runtime.errors import ServiceError

MEDIA_TYPE: Final = "application/problem+json"
METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})

WRONG: Final = "What was sent is not what this takes."

PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence for whoever reads it."},
    },
    "required": ["title", "status"],
}

INVALID: Final[dict[str, Any]] = {
    "title": "Invalid",
    "description": "Problem details that name each mistake, and never repeat the input.",
    "allOf": [{"$ref": "#/components/schemas/Problem"}],
    "properties": {
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("place", "kind", "message")},
                "required": ["place", "kind", "message"],
            },
        }
    },
    "required": ["errors"],
}


def documented(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """A route's ``responses``: each error under its status, in the sentence that the client reads."""
    sentences: dict[int | str, list[str]] = {}
    for error in errors:
        sentences.setdefault(int(error.status), []).append(error().detail)
    return {status: _answer(" ".join(several)) for status, several in sentences.items()}


def install(app: FastAPI) -> None:
    """Complete the document that the app generates, each time it does."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        operations = [
            operation
            for path in document.get("paths", {}).values()
            for method, operation in path.items()
            if method in METHODS
        ]
        for operation in operations:
            _complete(operation)
        if operations:
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(Problem=PROBLEM, Invalid=INVALID)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's own way to extend the document


def _complete(operation: dict[str, Any]) -> None:
    """Add what may happen to any operation that takes what this one takes."""
    responses: dict[str, Any] = operation["responses"]
    if "application/json" in responses.get("422", {}).get("content", {}):  # FastAPI's
        responses["422"] = _answer(WRONG, schema="Invalid")
    elif "422" in responses and (operation.get("parameters") or "requestBody" in operation):
        _tell(responses, 422, WRONG)
    if "requestBody" in operation:
        _tell(responses, 400, "The body cannot be read at all, for example since it is not UTF-8.")
        _tell(responses, 413, TooLargeError().detail)
        _tell(responses, 415, "The body is compressed.")
    if operation.get("security"):
        _tell(responses, 401, f"{UnauthorizedError().detail} {BadTokenError().detail}")
    _tell(responses, 503, BusyError().detail)


def _tell(responses: dict[str, Any], status: int, sentence: str) -> None:
    """Beside what the route itself says of this status, once."""
    told = responses.get(str(status), {}).get("description", "")
    if sentence not in told:
        responses[str(status)] = _answer(f"{told} {sentence}".lstrip())


def _answer(description: str, *, schema: str = "Problem") -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}
