"""One process of several is killed: replaced if it had settled, the end of the pod if not."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest
from integration.service.programs import Server
from integration.service.rolling import Load, refused
from plimsoll_runtime.exits import Exit
from support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.service.programs import Database, Start, Web

pytestmark = pytest.mark.integration


async def kill_one(web: Web) -> Load:
    load = Load(web.port)
    clients = [asyncio.create_task(load.client()) for _ in range(8)]
    await load.answered(100)
    first = web.program.children()
    os.kill(first[0], signal.SIGKILL)
    await asyncio.to_thread(eventually, lambda: len(set(web.program.children()) - {first[0]}) == 2)
    await load.answered(load.outcomes["201"] + 100)
    load.stopping = True
    await asyncio.gather(*clients)
    return load


def test_a_settled_process_that_is_killed_is_replaced(serve: Callable[..., Web], database: Database) -> None:
    """Its clients lose what it had in its hands, once each and not more; nothing that was acknowledged is lost."""
    web = serve(by=Server.SETTLED_AT_ONCE)
    load = asyncio.run(kill_one(web))
    assert sum(load.outcomes.values()) - load.outcomes["201"] <= 8
    acknowledged = sorted(load.acknowledged)
    assert database.one("SELECT count(*) FROM report WHERE id = ANY(%s::uuid[])", acknowledged) == len(acknowledged)
    assert '"exit_code": 137' in web.program.log
    web.program.signal(signal.SIGTERM)
    assert web.program.ended() == Exit.CLEAN
    assert refused(web.port)


def test_a_young_process_that_is_killed_ends_the_pod(serve: Callable[..., Web]) -> None:
    """With its code; the other one drains, and a SIGTERM in between changes nothing."""
    web = serve(WEB_CONCURRENCY="2", PLIMSOLL_DRAIN_SECONDS="0.5")
    os.kill(web.program.children()[0], signal.SIGKILL)
    web.program.saw("process died")
    web.program.signal(signal.SIGTERM)
    assert web.program.ended() == 128 + signal.SIGKILL
    assert refused(web.port)


def test_sigterm_during_the_import_ends_all_processes_at_once(start: Start) -> None:
    program = start("serve", "integration.service.slow_import:app", WEB_CONCURRENCY="2", MARKER="/dev/null")
    eventually(lambda: len(program.children()) == 2)
    program.signal(signal.SIGTERM)
    assert program.ended(within=10) == Exit.TERMINATED
