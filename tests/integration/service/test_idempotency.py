"""A POST that is sent again is done once: whoever is asked, however many at once, whatever dies in between."""

from __future__ import annotations

import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx2
import pytest
from support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from integration.service.programs import Database, Web

pytestmark = pytest.mark.integration

APP = "integration.service.repeating:app"


def post(web: Web, wanted: dict[str, Any], *, key: str | None, owner: str = "anna") -> httpx2.Response:
    headers = {"x-owner": owner} | ({"idempotency-key": key} if key else {})
    return web.post("/orders", json=wanted, headers=headers)


def effects(database: Database) -> object:
    return database.one("SELECT count(*) FROM report")


def kept(database: Database) -> object:
    return database.one("SELECT count(*) FROM plimsoll_http.idempotency_key")


def test_the_same_key_and_body_get_the_same_answer_and_nothing_is_done_again(
    serve: Callable[..., Web], database: Database
) -> None:
    web = serve(app=APP)
    first = post(web, {"text": "one"}, key="k-1")
    again = post(web, {"text": "one"}, key='"k-1"')  # as a structured header's string
    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    assert (again.status_code, again.content, again.headers["idempotency-replayed"]) == (201, first.content, "true")
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "set-cookie" not in again.headers
    assert effects(database) == 1


def test_a_key_belongs_to_its_owner_and_its_request_and_without_one_every_post_counts(
    serve: Callable[..., Web], database: Database
) -> None:
    web = serve(app=APP)
    post(web, {"text": "one"}, key="k")
    other = post(web, {"text": "two"}, key="k")
    assert (other.status_code, other.headers["content-type"]) == (422, "application/problem+json")
    assert "take a new one" in other.json()["detail"]
    assert web.post("/orders?twice", json={"text": "one"}, headers={"idempotency-key": "k"}).status_code == 422
    theirs = post(web, {"text": "two"}, key="k", owner="berta")
    assert (theirs.status_code, "idempotency-replayed" in theirs.headers) == (201, False)
    assert (effects(database), kept(database)) == (2, 2)

    for wrong in ("", '""', "two words", "ü", "x" * 256):
        answer = web.post("/orders", json={"text": "one"}, headers={b"idempotency-key": wrong.encode()})
        assert (answer.status_code, effects(database)) == (400, 2), wrong

    assert [post(web, {"text": "one"}, key=None).status_code for _ in range(3)] == [201] * 3
    assert (effects(database), kept(database)) == (5, 2)


def test_what_failed_or_cannot_be_kept_is_undone_and_forgotten(serve: Callable[..., Web], database: Database) -> None:
    web = serve(app=APP)
    for path, said in (("/stream", "in keep.*TypeError"), ("/careless", "in claim.*RuntimeError")):
        assert web.post(path, headers={"idempotency-key": "k"}).status_code == 500
        web.program.saw(said)
    assert post(web, {"text": "one", "fail": True}, key="k").status_code == 409
    assert web.post("/orders", json={"nothing": 1}, headers={"idempotency-key": "k"}).status_code == 422
    assert (effects(database), kept(database)) == (0, 0)
    assert post(web, {"text": "one"}, key="k").status_code == 201


def test_an_upload_is_the_same_under_another_boundary(serve: Callable[..., Web], database: Database) -> None:
    web = serve(app=APP)

    def upload(content: bytes, note: str = "n") -> httpx2.Response:
        return web.post(
            "/uploads", files={"file": ("a", content)}, data={"note": note}, headers={"idempotency-key": "k"}
        )

    large = bytes(3_000_000)
    first, again = upload(large), upload(large)
    assert first.request.headers["content-type"] != again.request.headers["content-type"]
    assert (again.status_code, again.content, effects(database)) == (200, first.content, 1)
    assert first.json()["bytes"] == 3_000_000, "the handler reads the file from its beginning"
    assert [upload(large + b"x").status_code, upload(large, note="o").status_code] == [422, 422]


def test_a_form_in_an_odd_charset_is_a_form_too(serve: Callable[..., Web], database: Database) -> None:
    """Its charset is the client's to name, and some decode to what UTF-8 cannot say."""
    web = serve(app=APP)

    def upload(more: bytes) -> httpx2.Response:
        fields = {b'"file"; filename="\\ud800"': b"x", b'"note"': b"n", b'"\\udfff"': more}
        parts = [b"--X\r\nContent-Disposition: form-data; name=%s\r\n\r\n%s\r\n" % each for each in fields.items()]
        kind = "multipart/form-data; charset=unicode_escape; boundary=X"
        headers = {"content-type": kind, "idempotency-key": "k"}
        return web.post("/uploads", content=b"".join(parts) + b"--X--\r\n", headers=headers)

    assert [upload(b"\\ud83d").status_code for _ in range(2)] == [200, 200]
    assert (upload(b"\\ud83e").status_code, effects(database)) == (422, 1)


def test_an_answer_runs_out_and_those_that_have_are_removed_by_the_next(
    serve: Callable[..., Web], database: Database
) -> None:
    web = serve(app=APP)
    for number in range(5):
        post(web, {"text": "one"}, key=f"old-{number}")
    database.one("UPDATE plimsoll_http.idempotency_key SET expires_at = now() - interval '1 second' RETURNING true")
    answer = post(web, {"text": "two"}, key="old-0")
    assert (answer.status_code, "idempotency-replayed" in answer.headers) == (201, False)
    assert (kept(database), effects(database)) == (1, 6)
    assert post(web, {"text": "two"}, key="old-0").headers["idempotency-replayed"] == "true"


def test_a_running_request_is_409_everywhere_until_it_ends(
    serve: Callable[..., Web], database: Database, tmp_path: Path
) -> None:
    one, two = serve(app=APP), serve(app=APP)
    wanted = {"text": "one", "gate": str(tmp_path / "gate")}
    with ThreadPoolExecutor(1) as client:
        running = client.submit(post, one, wanted, key="k")
        eventually(lambda: list(tmp_path.glob("reached-*")))
        for web in (one, two):
            early = post(web, wanted, key="k")
            assert (early.status_code, early.headers["retry-after"]) == (409, "1")
        (tmp_path / "gate").touch()
        first = running.result()
    again = post(two, wanted, key="k")
    assert (again.status_code, again.content, again.headers["idempotency-replayed"]) == (201, first.content, "true")
    assert effects(database) == 1


def test_a_kill_before_the_commit_leaves_neither_effect_nor_key(
    serve: Callable[..., Web], database: Database, tmp_path: Path
) -> None:
    doomed, other = serve(app=APP), serve(app=APP)
    wanted = {"text": "one", "gate": str(tmp_path / "gate")}
    with ThreadPoolExecutor(1) as client:
        lost = client.submit(post, doomed, wanted, key="k")
        eventually(lambda: list(tmp_path.glob("reached-*")))
        assert post(other, wanted, key="k").status_code == 409
        doomed.program.signal(signal.SIGKILL)
        with pytest.raises(httpx2.TransportError):
            lost.result()
    (tmp_path / "gate").touch()

    def accepted() -> httpx2.Response | None:
        return answer if (answer := post(other, wanted, key="k")).status_code != 409 else None

    answer = eventually(accepted)
    assert (answer.status_code, "idempotency-replayed" in answer.headers) == (201, False)
    assert (effects(database), kept(database)) == (1, 1)


def storm(webs: list[Web], database: Database, *, key: Callable[[], str | None]) -> tuple[Counter[int], set[bytes]]:
    """50 duplicates at once over two processes, one killed amid them; each client repeats until it knows."""
    statuses: Counter[int] = Counter()
    answers: set[bytes] = set()
    keys = [key() for _ in range(50)]

    def insist(number: int) -> None:
        asked = number
        while True:
            try:
                answer = post(webs[asked % len(webs)], {"text": "one"}, key=keys[number])
            except httpx2.TransportError:
                asked += 1  # the process that is left
                continue
            statuses[answer.status_code] += 1
            if answer.status_code == 201:
                answers.add(answer.content)
                return

    with ThreadPoolExecutor(25) as clients:
        running = [clients.submit(insist, number) for number in range(50)]
        eventually(lambda: effects(database))
        webs[0].program.signal(signal.SIGKILL)
        for each in running:
            each.result(timeout=60)
    return statuses, answers


def test_fifty_duplicates_over_two_processes_and_a_kill_have_one_effect(
    serve: Callable[..., Web], database: Database
) -> None:
    webs = [serve(app=APP), serve(app=APP)]
    statuses, answers = storm(webs, database, key=lambda: "the-same")
    assert statuses[201] == 50
    assert set(statuses) <= {201, 409, 503}
    assert (len(answers), effects(database), kept(database)) == (1, 1, 1)


def test_and_with_keys_of_their_own_they_have_fifty_or_more(serve: Callable[..., Web], database: Database) -> None:
    """The negative control: without one key for all, the same storm is done each time."""
    webs = [serve(app=APP), serve(app=APP)]
    _, answers = storm(webs, database, key=lambda: str(uuid4()))
    assert len(answers) == 50
    done = effects(database)
    assert isinstance(done, int)
    assert done >= 50
