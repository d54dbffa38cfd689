"""The same app and the same load under the servers that are not ours: with ``adopt`` nothing is lost, without it is."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING

import pytest
from integration.service.programs import ALONE_IN_A_PID_NAMESPACE, UNSHARED, Server, ended_after_two_sigterms
from integration.service.rolling import refused, roll
from plimsoll_runtime.exits import Exit
from support.eventually import eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.service.programs import Database, Start, Web

pytestmark = pytest.mark.integration

OURS = "integration.service.adopting:app"
LASTING = "integration.service.lasting:app"
THEIRS = pytest.mark.parametrize(
    ("by", "code"),
    [(Server.UVICORN, -signal.SIGTERM), (Server.UVICORN_WORKERS, 0), (Server.GUNICORN, 0)],
    ids=["uvicorn", "uvicorn --workers", "gunicorn"],
)


@THEIRS
def test_a_rollout_under_load_loses_nothing(
    serve: Callable[..., Web], database: Database, by: Server, code: int
) -> None:
    adopted = partial(serve, app=OURS, by=by, PLIMSOLL_DRAIN_SECONDS="1.5")
    old, new = adopted(), adopted()
    load = asyncio.run(roll(old, new))
    assert set(load.outcomes) == {"201"}
    assert load.closed_by_server >= 12, "every client was sent away by a response"
    assert database.one("SELECT count(*) FROM report") == len(load.acknowledged) == load.outcomes["201"]
    assert old.program.ended() == code


@THEIRS
def test_without_it_some_is_lost(serve: Callable[..., Web], by: Server, code: int) -> None:
    """The negative control: the same but for the three lines."""
    old = serve(app=OURS, by=by, PLIMSOLL_DRAIN_SECONDS="1.5", ADOPT="no")
    load = asyncio.run(roll(old, serve()))
    assert sum(load.outcomes.values()) - load.outcomes["201"] > 0
    assert old.program.ended() == code


@THEIRS
def test_a_request_beyond_the_deadline_gets_503(serve: Callable[..., Web], by: Server, code: int) -> None:
    """UvicornWorker sets no deadline, so gunicorn would kill its worker after graceful_timeout, without an answer."""
    web = serve(app=LASTING, by=by, PLIMSOLL_REQUEST_DEADLINE_SECONDS="1")
    with ThreadPoolExecutor(1) as other:
        request = other.submit(web.post, "/slow")
        web.program.saw("/slow began")
        web.program.signal(signal.SIGTERM)
        assert web.program.ended(within=10) == code
        assert request.result().status_code == 503
    assert "request cut" in web.program.log
    assert "printed, and closed" in web.program.log


@THEIRS
def test_a_second_sigterm_changes_nothing(serve: Callable[..., Web], tmp_path: Path, by: Server, code: int) -> None:
    web = serve(app=LASTING, by=by, PLIMSOLL_DRAIN_SECONDS="0.5")
    assert ended_after_two_sigterms(web, gate=tmp_path / "gate") == code


@THEIRS
def test_a_websocket_is_closed_within_the_drain(serve: Callable[..., Web], by: Server, code: int) -> None:
    web = serve(app=LASTING, by=by, PLIMSOLL_DRAIN_SECONDS="1.5")
    with connect(f"ws://127.0.0.1:{web.port}/deaf") as client:
        web.program.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "service restart")
    assert web.program.ended(within=10) == code


@pytest.mark.parametrize("by", [Server.UVICORN, Server.GUNICORN])
def test_sigterm_during_the_import_ends_it(
    start: Start, unused_port: Callable[[], int], tmp_path: Path, by: Server
) -> None:
    marker = tmp_path / "importing"
    module, *arguments = by.command(app="integration.service.slow_import:app", port=unused_port())
    program = start(*arguments, module=module, MARKER=str(marker))
    eventually(marker.exists, within=30)
    program.signal(signal.SIGTERM)
    assert program.ended(within=10) == (0 if by is Server.GUNICORN else -signal.SIGTERM)


def test_sigterm_during_the_import_waits_for_it_in_uvicorns_workers(
    start: Start, unused_port: Callable[[], int], tmp_path: Path
) -> None:
    """Nothing that an app does can change that: its import is where it would be done."""
    marker, gate = tmp_path / "importing", tmp_path / "gate"
    module, *arguments = Server.UVICORN_WORKERS.command(app="integration.service.slow_import:app", port=unused_port())
    program = start(*arguments, module=module, MARKER=str(marker), GATE=str(gate))
    eventually(marker.exists, within=30)
    program.signal(signal.SIGTERM)
    program.saw("Waiting for child process")
    assert program.process.poll() is None
    gate.touch()
    assert program.ended() == 0


@THEIRS
def test_sigterm_during_the_start_up_waits_for_it(
    start: Start, unused_port: Callable[[], int], tmp_path: Path, by: Server, code: int
) -> None:
    gate = tmp_path / "gate"
    module, *arguments = by.command(app=LASTING, port=unused_port())
    program = start(*arguments, module=module, LIFESPAN="waits-to-start", GATE=str(gate))
    program.saw("starting" if by is Server.UVICORN else "(?s)starting.*starting")
    program.signal(signal.SIGTERM)
    with pytest.raises(TimeoutExpired):
        program.ended(within=1)
    gate.touch()
    assert program.ended() == code
    assert "printed, and closed" in program.log


@ALONE_IN_A_PID_NAMESPACE
def test_sigterm_during_the_import_is_lost_by_uvicorn_as_pid_1(
    start: Start, unused_port: Callable[[], int], tmp_path: Path
) -> None:
    """What ``plimsoll_runtime serve`` is for: this one serves on until it is killed."""
    marker, gate, port = tmp_path / "importing", tmp_path / "gate", unused_port()
    module, *arguments = Server.UVICORN.command(app="integration.service.slow_import:app", port=port)
    program = start(*arguments, module=module, before=UNSHARED, MARKER=str(marker), GATE=str(gate))
    eventually(marker.exists, within=30)
    [inside] = program.children()
    os.kill(inside, signal.SIGTERM)
    gate.touch()
    program.saw("Uvicorn running")
    assert not refused(port)


@ALONE_IN_A_PID_NAMESPACE
@pytest.mark.parametrize("path", ["/gated", "/blocking"])
def test_as_pid_1_uvicorn_survives_its_signal_and_ends_with_our_code(
    serve: Callable[..., Web], tmp_path: Path, path: str
) -> None:
    """A thread that nobody waits for any more would hold Python, and so the pod, for ever."""
    web = serve(app=LASTING, by=Server.UVICORN, before=UNSHARED, PLIMSOLL_REQUEST_DEADLINE_SECONDS="1")
    gate = tmp_path / "gate"
    gate.touch()
    with ThreadPoolExecutor(1) as other:
        request = other.submit(web.request, "GET" if path == "/gated" else "POST", path, params={"gate": str(gate)})
        web.program.saw(f"{path} began")
        if path == "/gated":
            assert request.result().status_code == 200
        [inside] = web.program.children()
        os.kill(inside, signal.SIGTERM)
        assert web.program.ended(within=10) == (Exit.CLEAN if path == "/gated" else Exit.CUT)
        assert request.result().status_code == (200 if path == "/gated" else 503)


def test_our_own_server_takes_no_notice_of_it(serve: Callable[..., Web], database: Database) -> None:
    """One drain, not two, and one set of probes."""
    old = serve(app=OURS, PLIMSOLL_DRAIN_SECONDS="1.2")
    load = asyncio.run(roll(old, serve()))
    assert set(load.outcomes) == {"201"}
    assert old.program.ended() == 0
    assert "no drain" not in old.program.log
