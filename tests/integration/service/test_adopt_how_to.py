"""The how-to is true: its app, started by each of its commands, serves, and ends as its table says."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.service.programs import Start

pytestmark = pytest.mark.integration

HOW_TO = (Path(__file__).parents[3] / "docs/how-to/adopt-the-runtime.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", HOW_TO, re.DOTALL)
APP, STREAM = [code for language, code in BLOCKS if language == "python"]
[COMMANDS] = [code.splitlines() for language, code in BLOCKS if language == "sh"]
SOURCE = "\nasync def source():\n    while True:\n        yield 'data: tick\\n\\n'\n        await asyncio.sleep(0.02)\n"
ENDS_WITH = {"plimsoll_runtime": 0, "uvicorn": -signal.SIGTERM, "gunicorn": 0}


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_serves_the_app_and_ends(
    start: Start, unused_port: Callable[[], int], tmp_path: Path, command: str, processes: str
) -> None:
    (tmp_path / "app.py").write_text(f"import asyncio\n{APP}{STREAM}{SOURCE}")
    port = str(unused_port())
    module, *arguments = command.removeprefix("python3 -m ").replace("8000", port).split()
    several = processes == "2"
    program = start(
        *arguments,
        module=module,
        PORT=port,
        PYTHONPATH=str(tmp_path),
        WEB_CONCURRENCY=processes,
        PLIMSOLL_DRAIN_SECONDS="1",
    )
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:

        def ready() -> bool:
            try:
                return client.get("/readyz").status_code == 200
            except httpx2.TransportError:
                return False

        eventually(ready, within=60)
        with client.stream("GET", "/events") as events:
            lines = events.iter_lines()
            assert next(lines) == "data: tick"
            program.signal(signal.SIGTERM)
            assert set(lines) == {"data: tick", ""}, "httpx raises for a response without its last chunk"
    assert program.ended() == (0 if several and module == "uvicorn" else ENDS_WITH[module])
