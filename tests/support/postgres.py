"""A private PostgreSQL server for tests: real binaries, own data folder, own port, gone at the end.

    with PrivatePostgres(max_connections=30) as server:
        server.url()            postgresql://owner:…@127.0.0.1:port/app
        server.execute("…")     as superuser, from outside of whatever is tested

As root it runs as the ``postgres`` user, since the server refuses to be root. Passwords are checked, so that a wrong
one can be tested; nothing is synced to disk, since nothing outlives the test.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, Self

import psycopg

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

PASSWORD = "correct horse"
URL_PASSWORD = "correct%20horse"


def binaries() -> Path:
    """The newest installed server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if not found:
        raise RuntimeError("no PostgreSQL server is installed: apt-get install -y --no-install-recommends postgresql")
    return found[-1]


class PrivatePostgres:
    """One server with one database ``app``, owned by the ordinary role ``owner``."""

    def __init__(self, *, max_connections: int = 50) -> None:
        self._max_connections = max_connections
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self._as: dict[str, Any] = {}
        self.port = 0

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run(
            "initdb", "-D", str(self._folder / "data"), "-U", "postgres", "-A", "scram-sha-256",
            "--pwfile", str(password), "--no-sync", "--locale=C", "--encoding=UTF8",
        )  # fmt: skip
        self.start()
        self.execute(f"CREATE ROLE owner LOGIN PASSWORD '{PASSWORD}'")
        self.execute("CREATE DATABASE app OWNER owner")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, and wait until it accepts; on the same port again if it has run before."""
        self.port = self.port or _free_port()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._folder,
            "max_connections": self._max_connections,
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
        }
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(binaries() / "postgres"),
                    "-D",
                    str(self._folder / "data"),
                    *(f"--{k}={v}" for k, v in options.items()),
                ],
                stdout=log,
                stderr=log,
                **self._as,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Fast shutdown: sessions are cut, nothing is waited for."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=30)
            self._process = None

    def url(self, *, user: str = "owner", password: str = URL_PASSWORD, database: str = "app") -> str:
        """How a client reaches it."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: LiteralString, *parameters: object, database: str = "postgres") -> list[TupleRow]:
        """Run one statement as superuser; its rows, if it has any."""
        url = self.url(user="postgres", database=database)
        with psycopg.connect(url, autocommit=True, application_name="test") as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([str(binaries() / program), *arguments], capture_output=True, check=False, **self._as)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
