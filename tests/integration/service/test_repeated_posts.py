"""The reference service's own POSTs, sent twice: one user, one mail, one job."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from captions.app import create_app
from fastapi.testclient import TestClient
from plimsoll_runtime.settings import DatabaseUrl, Settings
from support.tokens import TOKENS, bearer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from httpx2 import Response
    from integration.service.programs import Database

pytestmark = pytest.mark.integration

ADA = {"email": "ada@example.org", "name": "Ada", "age": 36}


@pytest.fixture
def api(database: Database) -> Iterator[TestClient]:
    app = create_app(Settings(database_url=DatabaseUrl(database.url), db_pool_size=2), TOKENS)
    with TestClient(app) as client:
        yield client


def keyed(subject: str, key: str) -> dict[str, str]:
    return bearer(subject) | {"idempotency-key": key}


def test_a_user_who_is_made_twice_is_made_once_and_gets_one_mail(api: TestClient, database: Database) -> None:
    def make(key: str) -> Response:
        return api.post("/users", json=ADA, headers=keyed("ada", key))

    first, again = make("k"), make("k")
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert make("another").status_code == 409, "the control: without the same key it is a second user"
    mails = "SELECT count(*) FROM plimsoll_jobs.job WHERE kind = 'captions.welcome_mail'"
    assert database.one(mails) == 1
    told = database.one("SELECT input FROM plimsoll_jobs.job")
    assert told == {"user_id": first.json()["id"], "email": ADA["email"]}


def test_a_slide_that_is_sent_twice_is_one_job_of_its_owner(api: TestClient, database: Database, slide: bytes) -> None:
    def send(subject: str, content: bytes = slide) -> Response:
        return api.post("/jobs", files={"file": ("slide.png", content)}, headers=keyed(subject, "k"))

    first, again = send("ada"), send("ada")
    assert (first.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert send("ada", slide + b"x").status_code == 422
    assert send("bob").json() != first.json()
    assert api.post("/jobs", files={"file": ("s", slide)}, headers={"idempotency-key": "k"}).status_code == 401
    assert database.one("SELECT count(*) FROM slide") == 2


def test_two_at_once_are_one(api: TestClient, database: Database) -> None:
    def make(_: int) -> int:
        return api.post("/users", json=ADA, headers=keyed("ada", "k")).status_code

    with ThreadPoolExecutor(8) as clients:
        assert set(clients.map(make, range(24))) <= {201, 409}
    assert make(0) == 201
    assert database.one("SELECT count(*) FROM account") == 1


def test_openapi_tells_of_the_key(api: TestClient) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    for path in ("/users", "/jobs"):
        post = paths[path]["post"]
        assert "Idempotency-Key" in {each["name"] for each in post["parameters"]}
        assert {"400", "409", "422"} <= set(post["responses"])
