"""One PostgreSQL server for the session, one migrated database per test, and the real programs as child processes."""

from __future__ import annotations

import itertools
import socket
import sys
from io import BytesIO
from typing import TYPE_CHECKING

import httpx2
import pytest
from integration.service.programs import FAST, Database, Program, Server, Start, Web, run_migration
from PIL import Image, ImageDraw, ImageFont
from support.eventually import eventually
from support.postgres import PrivatePostgres
from support.tokens import bearer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[PrivatePostgres]:
    with PrivatePostgres(max_connections=60) as server:
        run_migration(server.url())
        yield server


_numbers = itertools.count(1)


@pytest.fixture
def database(server: PrivatePostgres) -> Database:
    name = f"test_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE app OWNER owner")
    return Database(server, name)


@pytest.fixture
def start(tmp_path: Path, database: Database) -> Iterator[Start]:
    """Start ``python -m plimsoll_runtime …``, or another module; keyword arguments are environment variables."""
    programs: list[Program] = []

    def start(*arguments: str, module: str = "plimsoll_runtime", before: tuple[str, ...] = (), **env: str) -> Program:
        name = f"{database.name}-{len(programs)}"
        command = [*before, sys.executable, "-m", module, *arguments]
        full = FAST | {"DATABASE_URL": database.url, "PGAPPNAME": name, "PORT": "0"} | env
        programs.append(Program(command, env=full, log=tmp_path / f"{name}.log"))
        return programs[-1]

    yield start
    for program in programs:
        program.kill_all()


@pytest.fixture
def serve(start: Start, unused_port: Callable[[], int]) -> Iterator[Callable[..., Web]]:
    clients: list[Web] = []

    def serve(*, app: str = "captions.main:app", by: Server = Server.PLIMSOLL, **env: str) -> Web:
        port = unused_port()
        module, *arguments = by.command(app=app, port=port)
        client = Web(base_url=f"http://127.0.0.1:{port}", timeout=10, headers=bearer())
        client.program = start(*arguments, module=module, PORT=str(port), **env)
        client.port = port
        clients.append(client)

        def ready() -> bool:
            assert client.program.process.poll() is None, client.program.log
            try:
                return client.get("/readyz").status_code in {200, 404}  # 404: an app without our probes
            except httpx2.TransportError:
                return False

        eventually(ready, within=60)
        return client

    yield serve
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def unused_port() -> Callable[[], int]:
    def unused_port() -> int:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
            return port

    return unused_port


@pytest.fixture(scope="session")
def slide() -> bytes:
    image = Image.new("RGB", (1000, 320), "white")
    font = ImageFont.truetype("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", 52)
    ImageDraw.Draw(image).text((40, 70), "The quick brown fox\njumps over the lazy dog", fill="black", font=font)
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
