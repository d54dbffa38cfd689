"""The OpenAPI document is true: whatever is sent to whichever operation, the answer is one that is documented.

schemathesis makes the requests up from the document, the same ones in each run. They meet the whole app and a database
of their own, in which what they store is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from captions.app import create_app
from captions.deps import ADMIN
from examples.conftest import in_memory
from fastapi import FastAPI, HTTPException
from hypothesis import HealthCheck, settings
from plimsoll_runtime import problems
from plimsoll_runtime.openapi import METHODS
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.tokens import TOKENS, bearer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi.testclient import TestClient
    from support.postgres import PrivatePostgres

pytestmark = pytest.mark.integration

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

UNPROTECTED: set[tuple[str, str]] = set()
"""Operations that ask for no token: a team that has some names them here."""


@pytest.fixture(scope="module")
def served(postgres: PrivatePostgres) -> Iterator[FastAPI]:
    yield create_app(in_memory(postgres.url(database="contract")), TOKENS)
    shutdown_lifespans()


DOCUMENT = create_app(in_memory("postgresql://nobody@127.0.0.1:1/nowhere")).openapi()


@schemathesis.openapi.from_dict(DOCUMENT).parametrize()
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented_and_none_is_a_5xx(case: schemathesis.Case[Any], served: FastAPI) -> None:
    case.call_and_validate(app=served, checks=CHECKS, headers=bearer("somebody", ADMIN))


@pytest.mark.parametrize("status", [418, 500])
def test_an_answer_that_is_not_documented_would_be_found(status: int) -> None:
    """The control."""
    app = FastAPI()
    problems.install(app)

    @app.get("/odd")
    async def odd() -> None:
        raise HTTPException(status)

    case = schemathesis.openapi.from_dict(app.openapi())["/odd"]["GET"].Case()
    with pytest.raises(FailureGroup):
        case.call_and_validate(app=app, checks=CHECKS)


OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    (method, path): operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    if method in METHODS
}


def test_every_operation_asks_for_a_token() -> None:
    """Says so in the document; what it says the next test tries."""
    assert {name for name, operation in OPERATIONS.items() if not operation.get("security")} == UNPROTECTED


@pytest.mark.parametrize("token", [None, "Bearer not.a.token", "Basic dXNlcjpwYXNzd29yZA=="])
def test_without_a_good_token_there_is_401(client: TestClient, token: str | None) -> None:
    del client.headers["authorization"]
    headers = {"authorization": token} if token else {}
    assert OPERATIONS.keys() > UNPROTECTED
    for method, path in OPERATIONS.keys() - UNPROTECTED:
        answer = client.request(method, path.replace("{", "").replace("}", ""), headers=headers)
        assert (answer.status_code, "www-authenticate" in answer.headers) == (401, True), (method, path)
