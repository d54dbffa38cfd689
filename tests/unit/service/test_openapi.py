"""What the OpenAPI document says of errors."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from captions.app import create_app
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from plimsoll_runtime import problems
from plimsoll_runtime.errors import ConflictError, NotFoundError, UnprocessableError
from plimsoll_runtime.openapi import documented
from plimsoll_runtime.settings import Settings
from pydantic import BaseModel

PROBLEM = {"$ref": "#/components/schemas/Problem"}
INVALID = {"$ref": "#/components/schemas/Invalid"}


class NoSuchShipError(NotFoundError):
    """No such ship."""


class NoSuchPortError(NotFoundError):
    """No such port."""


class Ship(BaseModel):
    name: str


def ships() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/plain")
    async def plain() -> None: ...

    @app.get("/guarded", dependencies=[Depends(HTTPBearer())])
    async def guarded() -> None: ...

    @app.post("/ships/{port}", responses=documented(NoSuchShipError, NoSuchPortError, ConflictError))
    async def create(port: int, ship: Ship) -> Ship:
        return ship

    @app.get("/limited")
    async def limited(limit: Annotated[int, Depends(lambda limit: limit)]) -> int:
        return limit

    return app


def answers(path: str, method: str) -> dict[str, Any]:
    responses: dict[str, Any] = ships().openapi()["paths"][path][method]["responses"]
    return {status: answer for status, answer in responses.items() if status != "200"}


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("get", "/plain", {"503"}),
        ("get", "/limited", {"422", "503"}),
        ("get", "/guarded", {"401", "503"}),
        ("post", "/ships/{port}", {"400", "404", "409", "413", "415", "422", "503"}),
    ],
)
def test_an_operation_tells_of_what_may_happen_to_it_and_no_more(method: str, path: str, statuses: set[str]) -> None:
    found = answers(path, method)
    assert found.keys() == statuses
    for status, answer in found.items():
        schema = answer["content"]["application/problem+json"]["schema"]
        assert schema == (INVALID if status == "422" else PROBLEM)


def test_errors_of_one_status_are_told_together_in_the_words_of_the_answer() -> None:
    assert answers("/ships/{port}", "post")["404"]["description"] == "No such ship. No such port."


def test_a_routes_own_422_stands_beside_that_of_wrong_input() -> None:
    app = ships()

    @app.post("/once", responses=documented(UnprocessableError))
    async def once(ship: Ship) -> Ship:
        return ship

    for _ in range(2):  # the document may be asked for again
        told = app.openapi()["paths"]["/once"]["post"]["responses"]["422"]
        assert told["description"] == f"{UnprocessableError().detail} What was sent is not what this takes."
        assert told["content"]["application/problem+json"]["schema"] == PROBLEM


def test_what_fastapi_says_of_422_is_not_there() -> None:
    schemas = ships().openapi()["components"]["schemas"]
    assert schemas.keys() == {"Ship", "Problem", "Invalid"}


def test_a_route_that_comes_later_is_told_of_too() -> None:
    app = ships()
    app.openapi()

    @app.get("/late")
    async def late() -> None: ...

    assert "503" in app.openapi()["paths"]["/late"]["get"]["responses"]


def test_the_reference_service_names_its_own_errors() -> None:
    app = create_app(Settings(database_url="postgresql://n@127.0.0.1:1/n"))
    responses = app.openapi()["paths"]["/jobs/{job_id}"]["get"]["responses"]
    assert responses["404"]["description"] == "There is no job with this id."
