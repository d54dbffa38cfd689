"""The limits of a served process: time, clients, proxies, and the probes that none of them touches."""

from __future__ import annotations

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest
from support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2
    from integration.service.programs import Database, Web

pytestmark = pytest.mark.integration

APP = "integration.service.limited:app"
STRANGER = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}


def test_a_request_ends_in_time_and_leaves_nothing_behind(serve: Callable[..., Web], database: Database) -> None:
    web = serve(app=APP, DB_POOL_SIZE="1", PLIMSOLL_REQUEST_DEADLINE_SECONDS="2")
    late = web.post("/slow")
    assert (late.status_code, late.headers["connection"]) == (503, "close")
    assert "took too long" in late.json()["detail"]
    hanging = web.post("/statement")
    assert (hanging.status_code, hanging.headers["retry-after"]) == (503, "1"), "the server ended the statement first"
    web.program.saw("QueryCanceled|OperationalError")
    assert web.get("/reports/count").json() == {"count": 0}
    assert eventually(lambda: database.backends(web.program.name) == 1)


def test_a_frozen_process_holds_its_locks_no_longer_than_a_request_may_last(
    serve: Callable[..., Web], database: Database
) -> None:
    web = serve(app=APP, DB_POOL_SIZE="1", PLIMSOLL_REQUEST_DEADLINE_SECONDS="4")
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND application_name = %s"
    with ThreadPoolExecutor(1) as client:
        client.submit(web.post, "/slow")
        eventually(lambda: database.one(idle, web.program.name) == 1)
        web.program.signal(signal.SIGSTOP)
        eventually(lambda: database.backends(web.program.name) == 0, within=15)
        web.program.signal(signal.SIGKILL)


def test_the_statement_of_a_killed_process_ends_soon(serve: Callable[..., Web], database: Database) -> None:
    web = serve(app=APP, DB_POOL_SIZE="1", PLIMSOLL_REQUEST_DEADLINE_SECONDS="600")
    with ThreadPoolExecutor(1) as client:
        client.submit(web.post, "/statement")
        eventually(lambda: database.one("SELECT true FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(600)'"))
        web.program.signal(signal.SIGKILL)
        eventually(lambda: database.backends(web.program.name) == 0, within=15)


def test_a_proxy_is_believed_if_it_is_named(serve: Callable[..., Web]) -> None:
    web = serve(app=APP, FORWARDED_ALLOW_IPS="127.0.0.0/8", PLIMSOLL_ROOT_PATH="/captions")
    assert web.get("/healthz").status_code == 200, "the kubelet asks past the proxy"
    assert web.get("/who", headers=STRANGER | {"host": "api.example"}).json() == {
        "client": "203.0.113.9",
        "scheme": "https",
        "url": "https://api.example/captions/who",
    }
    assert "strict-transport-security" in web.get("/who", headers=STRANGER).headers
    lied = web.get("/who", headers={"x-forwarded-for": "198.51.100.1, 203.0.113.9"})
    assert lied.json()["client"] == "203.0.113.9", "what the proxy saw, not what the client told it"


def test_nobody_else_is_believed_and_so_nobody_gets_another_bucket(serve: Callable[..., Web]) -> None:
    limits = {"PLIMSOLL_RATE_PER_SECOND": "0.01", "PLIMSOLL_RATE_BURST": "3"}
    direct = serve(app=APP, FORWARDED_ALLOW_IPS="10.0.0.0/8", **limits)
    assert direct.get("/who", headers=STRANGER).json()["client"] == "127.0.0.1"

    def ask(web: Web, number: int) -> httpx2.Response:
        return web.get("/who", headers={"x-forwarded-for": f"203.0.113.{number}"})

    assert [ask(direct, number).status_code for number in range(4)] == [200, 200, 429, 429]
    refused = ask(direct, 9)
    assert 90 < int(refused.headers["retry-after"]) <= 100
    assert refused.headers["x-content-type-options"] == "nosniff"
    assert {direct.get("/healthz").status_code for _ in range(10)} == {200}
    proxied = serve(app=APP, FORWARDED_ALLOW_IPS="127.0.0.1", **limits)
    assert {ask(proxied, number).status_code for number in range(10)} == {200}


def test_probes_answer_at_once_while_the_pool_is_empty_and_cost_no_connection(
    serve: Callable[..., Web], database: Database
) -> None:
    web = serve(DB_POOL_SIZE="1", PLIMSOLL_REQUEST_DEADLINE_SECONDS="30")
    report = {"report_id": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "text": "typo"}
    with psycopg.connect(database.url) as blocker, ThreadPoolExecutor(4) as clients:
        blocker.execute("LOCK TABLE report")
        posts = [clients.submit(web.post, "/reports", json=report) for _ in range(4)]
        eventually(lambda: database.one("SELECT true FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        took: list[float] = []
        for _ in range(20):
            for path in ("/healthz", "/readyz"):
                began = time.monotonic()
                assert web.get(path).status_code == 200
                took.append(time.monotonic() - began)
        assert database.backends(web.program.name) == 1
        assert not any(post.done() for post in posts), "they wait all the while"
        blocker.rollback()
    assert sorted(took)[len(took) // 2] < 0.1


def test_heads_are_bounded_as_served(serve: Callable[..., Web]) -> None:
    web = serve(app=APP)
    assert web.get("/who", headers={"x": "x" * 100_000}).status_code == 431
    assert web.get("/who", headers={"x": "x" * 30_000}).status_code == 200
    crowd = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(20)]
    stop = threading.Event()

    def flood(each: socket.socket) -> None:
        each.sendall(b"GET / HTTP/1.1\r\nx: ")
        try:
            while not stop.is_set():
                each.sendall(b"x" * 100_000)
        except OSError:
            pass  # refused, as it should be

    threads = [threading.Thread(target=flood, args=(each,)) for each in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    ended = not any(thread.is_alive() for thread in threads)
    stop.set()
    for each in crowd:
        each.close()
    assert ended
