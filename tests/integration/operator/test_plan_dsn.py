"""``plimsoll plan`` asks a real PostgreSQL server, by --dsn or by the environment, and never repeats its password."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from support.builders import budget_manifest, service_manifest
from support.postgres import PASSWORD, URL_PASSWORD, PrivatePostgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[PrivatePostgres]:
    with PrivatePostgres(max_connections=30) as server:
        server.execute("ALTER ROLE owner CONNECTION LIMIT 21")
        yield server


def plan(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    budget, service = budget_manifest(usable=None), service_manifest(replicas=2, pool=5)
    wishes = [{key: value for key, value in each.items() if key != "status"} for each in (budget, service)]
    (folder / "app.yaml").write_text(yaml.safe_dump_all(wishes))
    command = [sys.executable, "-m", "plimsoll_cli", "plan", str(folder), "-o", "json", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


@pytest.mark.parametrize("by", ["option", "environment"])
def test_the_servers_own_limits_decide(server: PrivatePostgres, tmp_path: Path, by: str) -> None:
    uri = server.url()
    done = plan(tmp_path, "--dsn", uri) if by == "option" else plan(tmp_path, PLIMSOLL_DSN=uri)
    assert done.returncode == 0, done.stderr
    (budget,) = json.loads(done.stdout)["budgets"]
    limits = (budget["maxConnections"], budget["ceiling"], budget["capacity"])
    assert limits == (30, 21, 21 - 5 - 1), "5 in reserve, 1 for the operator"
    assert (budget["claimed"], budget["free"]) == (15, 0)


def test_a_server_that_refuses_is_one_sentence_without_the_password(server: PrivatePostgres, tmp_path: Path) -> None:
    done = plan(tmp_path, "--dsn", server.url(user="nobody"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert PASSWORD not in done.stderr
    assert URL_PASSWORD not in done.stderr
