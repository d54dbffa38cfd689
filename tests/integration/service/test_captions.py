"""The service as its clients see it: a real web process, a real worker, a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from support.eventually import eventually
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.service.programs import Database, Start, Web

pytestmark = pytest.mark.integration


def test_a_slide_goes_in_and_its_text_comes_out(serve: Callable[..., Web], start: Start, slide: bytes) -> None:
    web = serve()
    start("work", "captions.worker:jobs").saw("worker started")
    accepted = web.post("/jobs", files={"file": ("slide.png", slide, "image/png")})
    assert accepted.status_code == 202
    assert accepted.json() == {"job_id": accepted.headers["location"].removeprefix("/jobs/"), "status": "queued"}

    def finished() -> dict[str, Any] | None:
        job: dict[str, Any] = web.get(accepted.headers["location"]).json()
        return job if job["status"] in {"succeeded", "failed"} else None

    job = eventually(finished, within=40)
    assert job["status"] == "succeeded", job
    assert job["result"]["text"].split() == ["The", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
    assert (job["attempts"], job["progress"], job["error"]) == (1, 1.0, None)

    damaged = web.post("/jobs", files={"file": ("slide.png", slide[:-2000], "image/png")})
    assert damaged.status_code == 202
    location = damaged.headers["location"]
    job = eventually(lambda: j if (j := web.get(location).json())["status"] == "failed" else None, within=40)
    assert job["attempts"] == 1
    assert "the image is damaged" in job["error"]


def test_what_clients_get_wrong_is_said_in_a_sentence(serve: Callable[..., Web], database: Database) -> None:
    web = serve()
    report = {"report_id": str(uuid4()), "text": " it's 'principle' "}
    stored = web.post("/reports", json=report)
    assert (stored.status_code, stored.json()["text"]) == (201, "it's 'principle'")
    again = web.post("/reports", json=report)
    assert (again.status_code, again.json()["detail"]) == (409, "A report with this id is already stored.")
    assert web.get(f"/reports/{report['report_id']}").json()["text"] == "it's 'principle'"
    assert web.get("/reports/count").json() == {"count": 1}

    for path in (f"/jobs/{uuid4()}", f"/reports/{uuid4()}"):
        unknown = web.get(path)
        assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")

    for wrong in (
        {"report_id": "x", "text": "t"},
        {**report, "text": " "},
        {**report, "text": "x" * 501},
        {**report, "text": "a\0b"},
    ):
        assert web.post("/reports", json=wrong).status_code == 422

    text = web.post("/jobs", files={"file": ("slide.png", b"not an image", "image/png")})
    assert (text.status_code, "expected PNG" in text.json()["detail"]) == (415, True)
    large = web.post("/jobs", files={"file": ("slide.png", bytes(11 * 1024 * 1024), "image/png")})
    assert (large.status_code, large.headers["content-type"]) == (413, "application/problem+json")
    assert database.one("SELECT count(*) FROM slide") == 0
    assert database.one("SELECT count(*) FROM plimsoll_jobs.job") == 0


def test_every_line_of_the_log_is_json_and_carries_its_requests_id(serve: Callable[..., Web]) -> None:
    import json  # noqa: PLC0415 - only here

    web = serve()
    answer = web.get("/reports/count", headers={"x-request-id": "it-is-me"})
    assert answer.headers["x-request-id"] == "it-is-me"
    web.program.saw('"request_id": "it-is-me"')
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{web.port}/talk?token=canary")
    web.program.saw('"message": "WebSocket 403"')
    assert "canary" not in web.program.log
    lines = [json.loads(line) for line in web.program.log.splitlines()]
    mine = [line for line in lines if line.get("request_id") == "it-is-me"]
    assert [(line["method"], line["route"], line["status"]) for line in mine] == [("GET", "/reports/count", 200)]
    assert not [line for line in lines if line.get("route") == "/readyz"]
