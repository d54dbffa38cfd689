"""How a web process leaves: nothing is lost with the drain, something is without it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from integration.service.programs import ALONE_IN_A_PID_NAMESPACE, UNSHARED
from integration.service.rolling import refused, roll
from plimsoll_runtime.exits import Exit
from support.eventually import eventually
from support.tokens import bearer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.service.programs import Database, Start, Web

pytestmark = pytest.mark.integration


def test_a_rollout_under_keep_alive_posts_loses_nothing(serve: Callable[..., Web], database: Database) -> None:
    old, new = serve(PLIMSOLL_DRAIN_SECONDS="1.2"), serve()
    load = asyncio.run(roll(old, new))
    assert set(load.outcomes) == {"201"}
    assert load.closed_by_server >= 12, "every client was sent away by a response"
    assert database.one("SELECT count(*) FROM report") == len(load.acknowledged) == load.outcomes["201"]
    assert old.program.ended() == Exit.CLEAN


def test_without_the_drain_it_does(serve: Callable[..., Web]) -> None:
    """The negative control: the load above notices what the drain prevents."""
    load = asyncio.run(roll(serve(PLIMSOLL_DRAIN_SECONDS="0"), serve()))
    assert sum(load.outcomes.values()) - load.outcomes["201"] > 10


def test_a_request_longer_than_the_drain_is_finished(serve: Callable[..., Web], database: Database) -> None:
    web = serve(PLIMSOLL_DRAIN_SECONDS="0.2")
    with psycopg.connect(database.url) as blocker, ThreadPoolExecutor(1) as other:
        blocker.execute("LOCK TABLE report")
        slow = other.submit(web.post, "/reports", json={"report_id": str(uuid4()), "text": "slow"})
        eventually(lambda: database.one("SELECT true FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        web.program.signal(signal.SIGTERM)
        eventually(lambda: refused(web.port))
        blocker.rollback()
        assert slow.result().status_code == 201
    assert web.program.ended() == Exit.CLEAN


def test_a_stalled_upload_gets_503_at_the_deadline(serve: Callable[..., Web]) -> None:
    web = serve(PLIMSOLL_REQUEST_DEADLINE_SECONDS="1")
    with socket.create_connection(("127.0.0.1", web.port)) as stalled:
        token = bearer()["authorization"].encode()
        stalled.sendall(
            b"POST /reports HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\ncontent-length: 100\r\n\r\n{" % token
        )
        web.get("/healthz")
        web.program.signal(signal.SIGTERM)
        assert web.program.ended(within=5) == Exit.CLEAN, "by its own deadline, so that the stop has none to cut"
        head, _, body = stalled.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert {b"retry-after: 1", b"connection: close", b"content-type: application/problem+json"} < set(
        head.split(b"\r\n")
    )
    assert json.loads(body)["title"] == "Service Unavailable"
    assert '"status": 503' in web.program.log


def test_readiness_stays_while_draining(serve: Callable[..., Web]) -> None:
    web = serve(PLIMSOLL_DRAIN_SECONDS="2")
    web.program.signal(signal.SIGTERM)
    answer = eventually(lambda: a if (a := web.get("/readyz")).json()["phase"] == "draining" else None)
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert web.program.ended() == Exit.CLEAN


def test_several_processes_drain_and_leave_no_deaf_socket(serve: Callable[..., Web], database: Database) -> None:
    old, new = serve(PLIMSOLL_DRAIN_SECONDS="1.2", WEB_CONCURRENCY="2"), serve()
    load = asyncio.run(roll(old, new))
    assert set(load.outcomes) == {"201"}
    assert database.one("SELECT count(*) FROM report") == len(load.acknowledged)
    assert old.program.ended() == Exit.CLEAN
    assert refused(old.port)


def test_processes_that_do_not_start_end_the_pod(start: Start) -> None:
    program = start("serve", "integration.service.no_such_module:app", WEB_CONCURRENCY="2")
    assert program.ended() == Exit.NOT_STARTED
    assert "plimsoll_runtime: cannot import integration.service.no_such_module:app: No module named" in program.log


def test_sigterm_during_the_import_is_obeyed_at_once(start: Start, tmp_path: Path) -> None:
    marker = tmp_path / "importing"
    program = start("serve", "integration.service.slow_import:app", MARKER=str(marker))
    eventually(marker.exists)
    program.signal(signal.SIGTERM)
    assert program.ended() == Exit.TERMINATED


@ALONE_IN_A_PID_NAMESPACE
def test_sigterm_during_the_import_is_obeyed_as_pid_1_too(start: Start, tmp_path: Path) -> None:
    marker = tmp_path / "importing"
    program = start("serve", "integration.service.slow_import:app", before=UNSHARED, MARKER=str(marker))
    assert eventually(lambda: marker.exists() and marker.read_text()) == "1"
    [inside] = program.children()
    os.kill(inside, signal.SIGTERM)
    assert program.ended() == Exit.TERMINATED


def test_a_taken_port_is_one_sentence(start: Start) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:  # noqa: S104 - the address that the service takes
        port = other.getsockname()[1]
        program = start("serve", "captions.main:app", PORT=str(port))
        assert program.ended() == Exit.NOT_STARTED
    assert program.log == f"plimsoll_runtime: cannot listen on port {port}: Address already in use\n"
