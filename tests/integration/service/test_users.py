"""/users and /me on a real database: whose they are, what conflicts, how they are listed."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import jwt
import psycopg
import pytest
from captions import deps
from captions.app import create_app
from captions.tables import Account
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from jwt.algorithms import RSAAlgorithm
from plimsoll_runtime import jwks
from plimsoll_runtime.settings import DatabaseUrl, Settings
from plimsoll_runtime.tokens import Principal, TokenSettings
from support.eventually import eventually
from support.tokens import TOKENS, bearer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from httpx2 import Response
    from integration.service.programs import Database
    from sqlalchemy.ext.asyncio import AsyncSession

pytestmark = pytest.mark.integration

ADA = {"email": "ada@example.org", "name": "Ada", "age": 36}
BOSS = bearer("boss", deps.ADMIN)


@pytest.fixture
def app(database: Database) -> FastAPI:
    settings = Settings(
        database_url=DatabaseUrl(database.url), db_pool_size=2, plimsoll_request_deadline_seconds=3, pgappname="users"
    )
    return create_app(settings, TOKENS)


@pytest.fixture
def api(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def make(api: TestClient, subject: str, **fields: object) -> Response:
    return api.post("/users", json=ADA | {"email": f"{subject}@example.org"} | fields, headers=bearer(subject))


def test_a_user_is_made_read_changed_and_forgotten(api: TestClient, database: Database) -> None:
    assert api.get("/me", headers=bearer("ada")).status_code == 404
    made = make(api, "ada", name="  Ada ")
    assert made.status_code == 201
    user = made.json()
    assert user == ADA | {"id": user["id"], "created_at": user["created_at"]}
    assert made.headers["location"] == f"/users/{user['id']}"
    for path in ("/me", made.headers["location"]):
        assert api.get(path, headers=bearer("ada")).json() == user
        changed = api.patch(path, json={"age": 37}, headers=bearer("ada"))
        assert (changed.status_code, changed.json()) == (200, user | {"age": 37})
        api.patch(path, json={"age": 36}, headers=bearer("ada"))
    assert database.one("SELECT subject || age FROM account") == "ada36"
    gone = api.delete(made.headers["location"], headers=bearer("ada"))
    assert (gone.status_code, gone.content) == (204, b"")
    assert api.get(made.headers["location"], headers=bearer("ada")).status_code == 404
    assert make(api, "ada").status_code == 201
    assert api.delete("/me", headers=bearer("ada")).status_code == 204
    assert database.one("SELECT count(*) FROM account") == 0


def test_a_user_is_their_own_and_the_administrators(api: TestClient) -> None:
    location = make(api, "ada").headers["location"]
    for who, status in ((bearer("eve"), 404), (bearer("eve", "users:read"), 404), (BOSS, 200)):
        assert api.get(location, headers=who).status_code == status
        assert api.patch(location, json={"name": "Countess"}, headers=who).status_code == status
    assert api.get("/users", headers=bearer("ada")).status_code == 403
    assert api.get("/me", headers=bearer("ada")).json()["name"] == "Countess"
    assert api.delete(location, headers=bearer("eve")).status_code == 404
    assert api.delete(location, headers=BOSS).status_code == 204


def test_one_address_is_one_user_however_it_is_spelled(api: TestClient) -> None:
    assert make(api, "ada").status_code == 201
    twice = make(api, "ada", email="other@example.org")
    assert (twice.status_code, twice.json()["detail"]) == (409, "A user belongs to this token already; see /me.")
    make(api, "eve")
    patch = api.patch("/me", json={"email": "Ada@Example.ORG"}, headers=bearer("eve"))
    for taken in (make(api, "mallory", email="ADA@example.org"), patch):
        assert (taken.status_code, taken.headers["content-type"]) == (409, "application/problem+json")
        assert taken.json()["detail"] == "A user with this e-mail address exists already."
        assert "ada" not in taken.text.lower()
    assert api.get("/me", headers=bearer("eve")).json()["email"] == "eve@example.org"


def test_of_many_at_once_with_one_address_one_is_made(api: TestClient, database: Database) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda n: make(api, f"s{n}", email="same@example.org").status_code, range(16)))
    assert sorted(set(answers)) == [201, 409]
    assert answers.count(201) == database.one("SELECT count(*) FROM account") == 1


def test_a_list_is_paged_by_cursor_and_shows_each_once_while_others_come_and_go(
    api: TestClient, database: Database
) -> None:
    # Several of one instant: the order must not depend on the clock alone.
    database.server.execute(
        "INSERT INTO account (id, subject, email, name, age, created_at) "
        "SELECT gen_random_uuid(), 's' || n, n || '@example.org', 'N', 1, "
        "'2026-01-01'::timestamptz + n / 4 * '1 s'::interval "
        "FROM generate_series(1, 23) n",
        database=database.name,
    )
    seen: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 5}
    while True:
        page = api.get("/users", params=query, headers=BOSS).json()
        assert len(page["items"]) <= 5
        seen += page["items"]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
        database.server.execute("DELETE FROM account WHERE email = '1@example.org'", database=database.name)
    assert sorted(int(each["email"].partition("@")[0]) for each in seen) == list(range(1, 24))
    assert [each["created_at"] for each in seen] == sorted(each["created_at"] for each in seen)
    assert len(api.get("/users", headers=BOSS).json()["items"]) == 20, "the default"


# ---- tokens


NOBODY = UUID("00000000-0000-4000-8000-000000000000")

OPERATIONS = [
    ("POST", "/jobs"), ("GET", f"/jobs/{NOBODY}"), ("POST", "/reports"), ("GET", "/reports/count"),
    ("GET", f"/reports/{NOBODY}"), ("POST", "/users"), ("GET", "/users"), ("GET", f"/users/{NOBODY}"),
    ("PATCH", f"/users/{NOBODY}"), ("DELETE", f"/users/{NOBODY}"),
    ("GET", "/me"), ("PATCH", "/me"), ("DELETE", "/me"),
]  # fmt: skip


def test_the_list_below_is_all_there_is(app: FastAPI) -> None:
    shapes = {(method, path.partition("/{")[0]) for method, path in operations(app)}
    assert shapes == {(method, path.rpartition("/")[0] if "-" in path else path) for method, path in OPERATIONS}


def operations(app: FastAPI) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_is_answered_without_a_token(api: TestClient, method: str, path: str) -> None:
    for headers, challenge in (
        ({}, "Bearer"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, "Bearer"),
        ({"authorization": "Bearer nonsense"}, 'Bearer error="invalid_token"'),
        (bearer("me", deps.ADMIN, seconds=-60), 'Bearer error="invalid_token"'),
    ):
        answer = api.request(method, path, headers=headers, content=b"{")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_missing_scope_is_403_and_says_which(api: TestClient) -> None:
    answer = api.get("/users", headers=bearer("me"))
    assert (answer.status_code, answer.json()["detail"]) == (403, "This needs a token with the scope users:admin.")
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'


@pytest.fixture
def issuer() -> Iterator[ThreadingHTTPServer]:
    """An identity provider's URL; ``published`` is what it answers."""

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"keys": self.server.published}).encode()  # type: ignore[attr-defined] # set below
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        server.published = []  # type: ignore[attr-defined] # for the handler
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_an_issuers_published_keys_are_fetched_and_fetched_again(
    database: Database, issuer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def token(key: rsa.RSAPrivateKey, kid: str) -> dict[str, str]:
        claims = {"iss": "tests", "aud": "captions", "sub": "ada", "scope": deps.ADMIN, "exp": time.time() + 60}
        return {"authorization": f"Bearer {jwt.encode(claims, key, algorithm='RS256', headers={'kid': kid})}"}

    def jwk(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
        return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid}

    monkeypatch.setattr(jwks, "COOLDOWN_SECONDS", 0)
    old, new = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    issuer.published = [jwk(old, "old")]
    trusted = TokenSettings(
        plimsoll_token_issuer="tests",
        plimsoll_token_audience="captions",
        plimsoll_token_jwks_url=f"http://127.0.0.1:{issuer.server_port}/keys",
    )
    with TestClient(create_app(Settings(database_url=DatabaseUrl(database.url)), trusted)) as api:
        assert api.get("/users", headers=token(old, "old")).status_code == 200
        assert api.get("/users", headers=token(new, "old")).status_code == 401
        assert api.get("/users", headers=token(new, "new")).status_code == 401
        issuer.published = [jwk(new, "new")]
        assert api.get("/users", headers=token(new, "new")).status_code == 200
        assert api.get("/users", headers=token(old, "old")).status_code == 401
        assert api.get("/users", headers=BOSS).status_code == 401, "a secret is not configured here"


def test_to_anyone_but_its_owner_a_job_does_not_exist(api: TestClient, database: Database, slide: bytes) -> None:
    posted = api.post("/jobs", files={"file": ("s.png", slide, "image/png")}, headers=bearer("ada"))
    assert posted.status_code == 202
    location = posted.headers["location"]
    assert api.get(location, headers=bearer("ada")).json()["status"] == "queued"
    assert api.get(location, headers=bearer("eve")).json() == api.get(f"/jobs/{uuid4()}", headers=bearer("eve")).json()
    database.server.execute("UPDATE slide SET owner = NULL", database=database.name)  # of the release before
    assert api.get(location, headers=bearer("ada")).status_code == 404


# ---- the session of a request


LATE_FAILURE = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE unique_violation USING CONSTRAINT = 'uq_account_email'; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON account DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION fail();
"""


def test_a_commit_that_fails_is_an_error_and_not_a_201(api: TestClient, database: Database) -> None:
    database.server.execute(LATE_FAILURE, database=database.name)
    answer = make(api, "ada")
    assert (answer.status_code, answer.json()["detail"]) == (409, "A user with this e-mail address exists already.")
    assert database.one("SELECT count(*) FROM account") == 0


def test_with_fastapis_own_scope_a_client_would_hold_a_201_for_what_is_lost(app: FastAPI, database: Database) -> None:
    """The control for the test above: the commit comes after the answer."""
    database.server.execute(LATE_FAILURE, database=database.name)

    @app.post("/careless", status_code=201)
    async def careless(session: Any = Depends(deps.open_session)) -> None:  # noqa: B008 - the way that is shown to be wrong
        session.add(Account(id=uuid4(), subject="s", email="e@example.org", name="n", age=1))

    with TestClient(app, raise_server_exceptions=False) as api:
        assert api.post("/careless").status_code == 201
    assert database.one("SELECT count(*) FROM account") == 0


def test_a_handler_that_fails_leaves_nothing_behind(app: FastAPI, database: Database) -> None:
    @app.post("/clumsy")
    async def clumsy(session: deps.Session) -> None:
        session.add(Account(id=uuid4(), subject="s", email="e@example.org", name="n", age=1))
        await session.flush()
        raise RuntimeError("secret")

    with TestClient(app, raise_server_exceptions=False) as api:
        answer = api.post("/clumsy")
    assert (answer.status_code, answer.json()) == (500, {"title": "Internal Server Error", "status": 500})
    assert database.one("SELECT count(*) FROM account") == 0


def test_an_exhausted_pool_and_a_lost_race_are_503_with_retry_after(api: TestClient, database: Database) -> None:
    with psycopg.connect(database.url) as other, ThreadPoolExecutor(2) as clients:
        other.execute("LOCK TABLE account")
        holding = [clients.submit(api.get, "/me", headers=bearer(str(n))) for n in range(2)]
        waiting = (
            "SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name = 'users' AND wait_event_type = 'Lock'"
        )
        eventually(lambda: database.one(waiting), within=3)
        refused = api.get("/me", headers=bearer("third"))
        other.rollback()
        assert [each.result().status_code for each in holding] == [404, 404]
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.headers["content-type"] == "application/problem+json"

    deadlock = LATE_FAILURE.replace("unique_violation USING CONSTRAINT = 'uq_account_email'", "deadlock_detected")
    database.server.execute(deadlock, database=database.name)  # type: ignore[arg-type] # our own words
    lost = make(api, "ada")
    assert (lost.status_code, lost.headers["retry-after"]) == (503, "1")


def test_everything_a_handler_depends_on_can_be_replaced(app: FastAPI, database: Database) -> None:
    used = []

    async def session_of_the_test() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:  # never committed
            used.append(session)
            yield session

    with TestClient(app) as api:
        sessions = api.app_state["sessions"]
        app.dependency_overrides[deps.open_session] = session_of_the_test
        app.dependency_overrides[deps.current_user] = lambda: Principal(subject="nobody")
        assert api.post("/users", json=ADA).status_code == 201
    assert len(used) == 1
    assert database.one("SELECT count(*) FROM account") == 0
