"""What lasts beyond the drain or the deadline: each ends in time, tells its client, and shows in the exit code."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING

import httpx2
import pytest
from integration.service.programs import Server, ended_after_two_sigterms
from plimsoll_runtime.exits import Exit
from support.eventually import eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.service.programs import Start, Web

pytestmark = pytest.mark.integration

APP = "integration.service.lasting:app"


@pytest.fixture
def last(serve: Callable[..., Web]) -> Callable[..., Web]:
    return partial(serve, app=APP)


def draining(web: Web) -> None:
    web.program.signal(signal.SIGTERM)
    eventually(lambda: web.get("/readyz").json()["phase"] == "draining")


@pytest.mark.parametrize("path", ["/slow", "/blocking"])
def test_a_request_beyond_the_deadline_gets_503(last: Callable[..., Web], path: str) -> None:
    """The blocking one has a thread that never ends; it may not hold the process."""
    web = last(PLIMSOLL_REQUEST_DEADLINE_SECONDS="1")
    with ThreadPoolExecutor(1) as other:
        request = other.submit(web.post, path)
        web.program.saw(f"{path} began")
        web.program.signal(signal.SIGTERM)
        assert web.program.ended(within=6) == Exit.CUT
        answer = request.result()
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
    assert answer.headers["content-type"] == "application/problem+json"
    assert '"message": "request cut"' in web.program.log
    assert '"status": 503' in web.program.log


def test_the_app_closes_after_the_cut_requests_have_unwound(last: Callable[..., Web]) -> None:
    web = last(PLIMSOLL_REQUEST_DEADLINE_SECONDS="1")
    with ThreadPoolExecutor(1) as other:
        other.submit(web.post, "/slow")
        web.program.saw("/slow began")
        web.program.signal(signal.SIGTERM)
        web.program.ended()
    assert web.program.log.index("/slow unwound") < web.program.log.index("printed, and closed")


def test_a_stream_that_asks_ends_complete_within_the_drain(last: Callable[..., Web]) -> None:
    web = last(PLIMSOLL_DRAIN_SECONDS="1.5", PLIMSOLL_REQUEST_DEADLINE_SECONDS="60")
    with web.stream("GET", "/told") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "tick"
        draining(web)
        assert set(lines) == {"tick"}, "httpx raises for a response without its last chunk"
    assert web.program.ended(within=10) == Exit.CLEAN


def test_a_stream_that_does_not_is_cut_at_the_deadline(last: Callable[..., Web]) -> None:
    """The negative control."""
    web = last(PLIMSOLL_REQUEST_DEADLINE_SECONDS="1")
    with web.stream("GET", "/untold") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "tick"
        web.program.signal(signal.SIGTERM)
        with pytest.raises(httpx2.RemoteProtocolError):
            list(lines)
    assert web.program.ended(within=6) == Exit.CUT


@pytest.mark.parametrize("path", ["/echo", "/deaf", "/pushing"])
def test_a_websocket_is_closed_within_the_drain(last: Callable[..., Web], path: str) -> None:
    web = last(PLIMSOLL_DRAIN_SECONDS="1.5", PLIMSOLL_REQUEST_DEADLINE_SECONDS="60")
    with connect(f"ws://127.0.0.1:{web.port}{path}") as client:
        if path == "/echo":
            client.send("hello")
            assert client.recv() == "hello"
        draining(web)
        with pytest.raises(ConnectionClosed) as closed:
            list(iter(client.recv, None))
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "service restart"), "uvicorn has no reason"
    assert web.program.ended(within=10) == Exit.CLEAN
    assert ("/echo saw the end" in web.program.log) == (path == "/echo")
    assert ("websocket handler cancelled" in web.program.log) == (path == "/deaf")
    assert "Exception in ASGI application" not in web.program.log


def test_without_us_a_websocket_handler_that_does_not_look_holds_the_process(last: Callable[..., Web]) -> None:
    """The negative control."""
    web = last(by=Server.UVICORN, ADOPT="no")
    with connect(f"ws://127.0.0.1:{web.port}/deaf"):
        web.program.signal(signal.SIGTERM)
        with pytest.raises(TimeoutExpired):
            web.program.ended(within=4)


def test_without_a_drain_a_websocket_is_closed_at_once(last: Callable[..., Web]) -> None:
    web = last()
    with connect(f"ws://127.0.0.1:{web.port}/echo") as client:
        web.program.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert web.program.ended(within=6) == Exit.CLEAN


def test_a_handshake_during_the_drain_is_taken_and_closed_within_it(last: Callable[..., Web]) -> None:
    web = last(PLIMSOLL_DRAIN_SECONDS="2")
    draining(web)
    with connect(f"ws://127.0.0.1:{web.port}/echo") as client:
        client.send("late")
        assert client.recv() == "late"
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert web.program.ended() == Exit.CLEAN


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sigterm_during_the_start_up_gives_it_up(start: Start, processes: str) -> None:
    program = start("serve", APP, LIFESPAN="waits-to-start", WEB_CONCURRENCY=processes)
    program.saw("(?s)" + ".*".join(["starting"] * int(processes)))
    program.signal(signal.SIGTERM)
    assert program.ended(within=6) == Exit.TERMINATED
    assert program.log.count("start-up given up") == int(processes), "the app's own clean-up ran"


def test_a_start_up_that_blocks_is_ended_within_the_lifespans_deadline(start: Start) -> None:
    program = start("serve", APP, LIFESPAN="blocks-to-start", PLIMSOLL_LIFESPAN_SECONDS="0.5")
    program.saw("starting")
    program.signal(signal.SIGTERM)
    assert program.ended(within=6) == Exit.TERMINATED


def test_an_app_that_does_not_close_in_time_is_left_behind(last: Callable[..., Web]) -> None:
    web = last(LIFESPAN="never-closes", PLIMSOLL_LIFESPAN_SECONDS="0.5")
    web.program.signal(signal.SIGTERM)
    assert web.program.ended(within=6) == Exit.UNCLOSED
    assert "the app did not close in time" in web.program.log


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_second_sigterm_changes_nothing(last: Callable[..., Web], tmp_path: Path, processes: str) -> None:
    web = last(PLIMSOLL_DRAIN_SECONDS="0.5", WEB_CONCURRENCY=processes)
    assert ended_after_two_sigterms(web, gate=tmp_path / "gate") == Exit.CLEAN


@pytest.mark.parametrize("by", [Server.PLIMSOLL, Server.UVICORN])
def test_what_is_still_buffered_at_the_end_is_written(last: Callable[..., Web], by: Server) -> None:
    web = last(by=by)
    web.program.signal(signal.SIGTERM)
    web.program.ended()
    assert "printed, and closed" in web.program.log
    assert "buffered by a handler" in web.program.log


def test_without_us_it_is_lost(last: Callable[..., Web]) -> None:
    """The negative control: uvicorn ends by the signal, and Python never gets to write."""
    web = last(by=Server.UVICORN, ADOPT="no")
    web.program.signal(signal.SIGTERM)
    assert web.program.ended() == -signal.SIGTERM
    assert "printed, and closed" not in web.program.log
    assert "buffered by a handler" not in web.program.log
