"""What comes in is checked before any handler runs, what goes out is only what was meant to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from captions import deps
from captions.app import create_app
from captions.models import UserIn, UserPatch, UserView
from captions.routes import users
from captions.tables import Account
from fastapi import APIRouter, FastAPI
from httpx2 import ASGITransport, AsyncClient, Response
from plimsoll_runtime import problems
from plimsoll_runtime.incoming import Incoming, Received
from plimsoll_runtime.jobs.gate import JobInputError, check
from plimsoll_runtime.jobs.model import JobKind, Step
from plimsoll_runtime.json_route import JsonRoute
from plimsoll_runtime.paging import Cut, Position
from plimsoll_runtime.problems import TOLD
from plimsoll_runtime.settings import DatabaseUrl, Settings
from plimsoll_runtime.tokens import Principal, Verifier
from pydantic import AwareDatetime, ValidationError
from structlog.testing import capture_logs
from support.tokens import TOKENS, bearer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Message

pytestmark = pytest.mark.anyio

NOWHERE = Settings(database_url=DatabaseUrl("postgresql://nobody@localhost:1/none"))
ADA = {"email": "ada@example.org", "name": "Ada", "age": 36}


class Untouched:
    """A session that nobody should use."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a handler ran: {name}")


async def no_session() -> AsyncIterator[Untouched]:
    yield Untouched()


@pytest.fixture
def app() -> FastAPI:
    """The service without a database, an issuer or an environment: all that it depends on is replaced."""
    app = create_app(NOWHERE)
    app.dependency_overrides[deps.open_session] = no_session
    app.dependency_overrides[deps.current_user] = lambda: Principal(subject="me")
    return app


async def request(app: FastAPI, method: str, path: str, **more: Any) -> Response:
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://captions") as client:
        return await client.request(method, path, **more)


async def test_a_negative_age_is_a_422_that_names_the_field_before_the_handler_runs(app: FastAPI) -> None:
    answer = await request(app, "POST", "/users", json=ADA | {"age": -1})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [(one["place"], one["kind"]) for one in answer.json()["errors"]] == [("body.age", "greater_than_equal")]
    with pytest.raises(AssertionError, match="a handler ran"):  # the control: nothing else stood in its way
        await request(app, "POST", "/users", json=ADA)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"age": 151}, "age"), ({"age": "36"}, "age"), ({"age": 36.5}, "age"), ({"age": True}, "age"),
        ({"age": None}, "age"),
        ({"name": ""}, "name"), ({"name": "   "}, "name"), ({"name": "x" * 51}, "name"), ({"name": 7}, "name"),
        ({"name": "a\0b"}, "name"), ({"name": "a\nb"}, "name"), ({"name": "a\u202eb"}, "name"),
        ({"name": "a\u2028b"}, "name"), ({"name": "\u200b"}, "name"), ({"name": "\u200d"}, "name"),
        ({"email": "ada"}, "email"), ({"email": "a@b@c"}, "email"), ({"email": "a@b.org\r\nBcc: x@y.z"}, "email"),
        ({"password": "hunter2"}, "password"), ({"id": str(uuid4())}, "id"), ({"subject": "you"}, "subject"),
    ],
)  # fmt: skip
async def test_each_field_has_its_bounds_and_there_are_no_others(app: FastAPI, change: Any, place: str) -> None:
    answer = await request(app, "POST", "/users", json=ADA | change)
    assert answer.status_code == 422
    assert [one["place"] for one in answer.json()["errors"]] == [f"body.{place}"]


@pytest.mark.parametrize("age", [0, 150])
def test_the_bounds_themselves_are_in(age: int) -> None:
    user = UserIn.model_validate_json(json.dumps(ADA | {"age": age, "name": f"  {'x' * 50}\t"}))
    assert (user.age, user.name) == (age, "x" * 50)


@pytest.mark.parametrize("name", ["José", "علی‌رضا", "李小龍", "Zoë O'Neill-Smith", "👩‍🚀"])
def test_names_are_not_only_english(name: str) -> None:
    assert UserIn(email="a@example.org", name=name, age=1).name == name


@pytest.mark.parametrize(
    ("patch", "place"), [({}, "body"), ({"age": None}, "body.age"), ({"age": -1}, "body.age"), ({"x": 1}, "body.x")]
)
async def test_a_patch_changes_something_and_by_the_same_bounds(app: FastAPI, patch: Any, place: str) -> None:
    app.dependency_overrides[users.of_token] = lambda: None
    answer = await request(app, "PATCH", "/me", json=patch)
    assert (answer.status_code, [one["place"] for one in answer.json()["errors"]]) == (422, [place])


def test_a_patch_knows_what_was_left_out() -> None:
    assert UserPatch.model_validate_json('{"age": 0}').model_dump(exclude_unset=True) == {"age": 0}
    assert "null" not in json.dumps(UserPatch.model_json_schema())


async def test_what_is_kept_inside_cannot_leave_even_when_a_handler_returns_the_row() -> None:
    app = FastAPI()
    row = Account(id=uuid4(), subject="issuer|4711", email="a@example.org", name="Ada", age=36, created_at=None)

    @app.get("/careless", response_model=UserView)
    async def careless() -> Any:
        return {**vars(row), "created_at": "2026-01-01T00:00:00Z"}

    answer = await request(app, "GET", "/careless")
    assert answer.json()["name"] == "Ada"
    assert "4711" not in answer.text


def test_every_answer_of_the_service_has_a_model(app: FastAPI) -> None:
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            good = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
            assert method == "delete" or good["content"]["application/json"]["schema"], f"{method} {path}"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer not.a.token"}, 401),
        (bearer("me", seconds=-100), 401),
        (bearer("me"), 400),  # the control: is told that its body cannot be read
    ],
    ids=["none", "forged", "expired", "good"],
)
async def test_who_may_not_ask_is_told_before_a_body_is_read(headers: dict[str, str], status: int) -> None:
    app = create_app(NOWHERE, TOKENS)
    asked: list[str] = []

    async def receive() -> Message:
        asked.append("body")
        raise OSError

    async def send(message: Message) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    for method, path in (("POST", "/jobs"), ("POST", "/users"), ("POST", "/reports"), ("PATCH", "/me")):
        statuses: list[int] = []
        scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "query_string": b""}
        form = headers | {"content-type": "multipart/form-data; boundary=x", "content-length": "1000"}
        scope["headers"] = [(name.encode(), value.encode()) for name, value in form.items()]
        scope |= {"scheme": "http", "state": {"verifier": Verifier(TOKENS, jwks=None)}}
        await app(scope, receive, send)
        assert statuses == [status], path
    assert bool(asked) == (status != 401)


# ---- JSON


class Visit(Incoming):
    """One of each kind of thing that JSON has no type for."""

    ship: UUID
    at: AwareDatetime
    days: int


def port() -> FastAPI:
    app = FastAPI()
    problems.install(app)
    gated, plain = APIRouter(route_class=JsonRoute), APIRouter(prefix="/plain")

    @gated.post("/visits")
    @plain.post("/visits")
    async def visit(new: Received[Visit]) -> str:
        assert type(new) is Visit
        return f"{new.ship} {new.at} {new.days}"

    app.include_router(gated)
    app.include_router(plain)
    return app


VISIT = {"ship": "0af76519-16cd-43dd-8448-eb211c80319c", "at": "2026-11-23T10:00:00Z", "days": 3}


async def test_json_is_taken_strictly_and_yet_has_times_and_ids() -> None:
    answer = await request(port(), "POST", "/visits", json=VISIT)
    assert answer.json() == "0af76519-16cd-43dd-8448-eb211c80319c 2026-11-23 10:00:00+00:00 3"
    for days in ("3", 3.5, True, None, [3]):
        assert (await request(port(), "POST", "/visits", json=VISIT | {"days": days})).status_code == 422


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b"NaN", b'"x"', b"[" * 60_000, b'{"ship": "\\ud800"}', b"1" * 5000]
)
async def test_what_is_no_json_object_is_a_422(body: bytes) -> None:
    answer = await request(port(), "POST", "/visits", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text


async def test_a_json_body_has_a_bound_of_its_own() -> None:
    """One for uploads would let a client write answer and log lines of a hundred megabytes, a mistake each."""
    visit = json.dumps(VISIT).encode()
    kind = {"content-type": "application/json"}
    most = visit.ljust(JsonRoute.max_bytes)
    assert (await request(port(), "POST", "/visits", content=most, headers=kind)).status_code == 200
    answer = await request(port(), "POST", "/visits", content=most + b" ", headers=kind)
    assert (answer.status_code, answer.json()["detail"]) == (413, "JSON may have at most 65536 bytes here.")


async def test_of_many_mistakes_the_first_are_told() -> None:
    wrong = {"x" * 1000 + str(number): 1 for number in range(60)}
    with capture_logs() as lines:
        answer = await request(port(), "POST", "/visits", json=VISIT | wrong)
    assert answer.status_code == 422
    assert [one["place"] for one in answer.json()["errors"]] == [f"body.{'x' * 50}…"] * TOLD
    assert answer.json()["detail"].endswith("; and 40 more")
    assert len(answer.content) < 6000
    assert (len(lines[0]["errors"]), lines[0]["in_all"]) == (TOLD, 60)


async def test_json_under_another_name_is_refused_and_so_is_a_route_that_forgot_the_gate() -> None:
    body = json.dumps(VISIT)
    answer = await request(port(), "POST", "/visits", content=body, headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["errors"][0]["kind"]) == (422, "json_expected")
    answer = await request(port(), "POST", "/plain/visits", json=VISIT)
    assert (answer.status_code, answer.json()["errors"][0]["kind"]) == (422, "json_expected")


def test_openapi_shows_the_model() -> None:
    spec = port().openapi()
    body = spec["paths"]["/visits"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Visit"}
    assert spec["components"]["schemas"]["Visit"]["additionalProperties"] is False


async def test_neither_answer_nor_log_repeats_what_was_sent(app: FastAPI) -> None:
    canary = "c4n4ry"
    with capture_logs() as lines:
        for wrong in (
            {"email": f"{canary}@", "name": canary * 20, "age": canary},
            {"email": f"{canary}@exa mple.org", "name": f"{canary}\n", "age": -1},
            {"email": f"{canary} <x@example.org>", "name": [canary], "age": {canary: canary}},
        ):
            answer = await request(app, "POST", "/users", json=wrong)
            assert answer.status_code == 422
            assert canary not in answer.text
        answer = await request(app, "POST", "/users", json=ADA | {canary: canary})
    assert answer.json()["errors"] == [
        {"place": f"body.{canary}", "kind": "extra_forbidden", "message": "Extra inputs are not permitted"}
    ]
    assert [line["event"] for line in lines] == ["request refused"] * 4
    assert {"place": "body.age", "kind": "greater_than_equal"} in lines[1]["errors"]
    assert canary not in str(lines)


# ---- jobs, and cursors


class SlideIn(Incoming):
    pages: int


def test_a_jobs_input_passes_the_same_gate() -> None:
    kind = JobKind("check", (Step("ocr", run=lambda _: {}),), input=SlideIn)
    check(kind, {"pages": 1})
    with pytest.raises(JobInputError) as caught:
        check(kind, {"pages": "hunter2", "hunter3": 1})
    assert str(caught.value) == "the input is not what check takes: pages: int_type; hunter3: extra_forbidden"


async def test_a_cursor_is_what_a_page_gave_or_a_422(app: FastAPI) -> None:
    position = Position.model_validate_json(f'{{"at": "2026-11-23T10:00:00.123456Z", "id": "{uuid4()}"}}')
    assert Position.of(position.cursor()) == position
    assert Cut(limit=2, after=None).cut([1, 2], lambda _: position) == ([1, 2], None)
    assert Cut(limit=2, after=None).cut([1, 2, 3], lambda _: position) == ([1, 2], position.cursor())

    app.dependency_overrides[deps.administrator] = lambda: Principal(subject="me")
    for cursor in ("x", "e30", "%00", "é", position.cursor()[:-3]):
        answer = await request(app, "GET", "/users", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, "query.cursor")
    for limit in ("0", "101", "x"):
        answer = await request(app, "GET", "/users", params={"limit": limit})
        assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, "query.limit")


def test_what_comes_in_is_frozen() -> None:
    with pytest.raises(ValidationError):
        UserIn(**ADA).age = 1  # type: ignore[arg-type, misc] # mypy knows both too
