"""What is promised survives; what was only begun may not: the welcome mail, both ways, and a kill."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.eventually import eventually
from support.smtp import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.service.programs import Database, Program, Start, Web

pytestmark = pytest.mark.integration

APP = "integration.service.welcoming:app"
PAGE = Path(__file__).parents[3] / "docs/explanation/background-work.md"


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as relay:
        yield relay


def work(start: Start, relay: Relay) -> Program:
    worker = start("work", "captions.worker:jobs", SMTP_HOST="127.0.0.1", SMTP_PORT=str(relay.port))
    worker.saw("worker started")
    return worker


def served(serve: Callable[..., Web], relay: Relay) -> Web:
    return serve(app=APP, SMTP_HOST="127.0.0.1", SMTP_PORT=str(relay.port))


def welcomed(relay: Relay) -> list[str]:
    return [str(message["To"]) for message in relay.messages]


def test_a_kill_right_after_the_response_loses_a_background_task_and_no_job(
    serve: Callable[..., Web], start: Start, database: Database, relay: Relay
) -> None:
    relay.gate.clear()
    doomed = served(serve, relay)
    assert doomed.post("/lossy", json={"email": "lost@example.org"}).status_code == 201
    assert doomed.post("/durable", json={"email": "promised@example.org"}).status_code == 201
    assert doomed.post("/refused", json={"email": "nobody@example.org"}).status_code == 409
    eventually(lambda: relay.connections == 1, within=30)  # the background task is at its work
    doomed.program.signal(signal.SIGKILL)
    doomed.program.ended()
    relay.gate.set()

    first = work(start, relay)
    again = served(serve, relay)
    assert again.post("/durable", json={"email": "later@example.org"}).status_code == 201
    done = "SELECT count(*) FROM plimsoll_jobs.job WHERE state = 'succeeded'"
    eventually(lambda: database.one(done) == 2, within=60)
    assert sorted(welcomed(relay)) == ["later@example.org", "promised@example.org"]
    assert database.one("SELECT count(*) FROM report") == 3, "all three users exist, the lost one's too"
    assert database.one("SELECT count(*) FROM plimsoll_jobs.job") == 2, "who was rolled back is promised nothing"

    assert again.post("/lossy", json={"email": "lucky@example.org"}).status_code == 201
    eventually(lambda: "lucky@example.org" in welcomed(relay))
    assert "@example.org" not in first.log + again.program.log


def test_a_kill_amid_the_delivery_repeats_it_under_the_same_id(
    serve: Callable[..., Web], start: Start, database: Database, relay: Relay
) -> None:
    served(serve, relay).post("/durable", json={"email": "anna@example.org"})
    relay.gate.clear()
    doomed = work(start, relay)
    eventually(lambda: relay.connections == 1, within=60)
    doomed.signal(signal.SIGKILL)
    work(start, relay)
    eventually(lambda: relay.connections == 2, within=60)
    relay.gate.set()
    eventually(lambda: database.one("SELECT true FROM plimsoll_jobs.job WHERE state = 'succeeded'"), within=60)
    job = database.one("SELECT id::text FROM plimsoll_jobs.job")
    assert {message["Message-ID"] for message in relay.messages} == {f"<{job}@localhost>"}
    assert set(welcomed(relay)) == {"anna@example.org"}


def test_a_mail_that_is_refused_says_why_and_not_to_whom(
    serve: Callable[..., Web], start: Start, database: Database, relay: Relay
) -> None:
    relay.refusal = "550 no such mailbox as anna@example.org"
    web = served(serve, relay)
    web.post("/durable", json={"email": "anna@example.org"})
    worker = work(start, relay)
    error = eventually(lambda: database.one("SELECT error FROM plimsoll_jobs.job WHERE state = 'failed'"), within=60)
    assert error == "the relay did not take the mail: SMTPRecipientsRefused 550"
    assert database.one("SELECT attempt FROM plimsoll_jobs.step") == 1, "for good is for good"

    relay.refusal = "451 busy; anna@example.org will have to wait"
    web.post("/durable", json={"email": "anna@example.org"})
    error = eventually(lambda: database.one("SELECT error FROM plimsoll_jobs.step WHERE attempt > 1"), within=60)
    assert error == "RelayError: the relay did not take the mail: SMTPRecipientsRefused 451"
    relay.refusal = None
    eventually(lambda: welcomed(relay) == ["anna@example.org"], within=60)
    assert "RelayError" in worker.log
    assert "anna@" not in worker.log


def test_the_page_quotes_what_is_tested_here() -> None:
    source = Path(__file__).with_name("welcoming.py").read_text()
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert block in source
