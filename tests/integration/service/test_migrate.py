"""The schema: from nothing to head, one run at a time, and why not in one line."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.command import downgrade, upgrade
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.util import CommandError
from captions.migrate import LOCK_KEY
from captions.tables import Base
from integration.service.programs import run_migration
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from support.eventually import eventually
from support.postgres import PrivatePostgres

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from typing import LiteralString

    from integration.service.programs import Database

pytestmark = pytest.mark.integration


@pytest.fixture
def empty(server: PrivatePostgres, database: Database) -> str:
    server.execute(f"CREATE DATABASE {database.name}_empty OWNER owner")
    return server.url(database=f"{database.name}_empty")


def test_runs_at_once_take_turns_and_each_succeeds(empty: str) -> None:
    with ThreadPoolExecutor(3) as pods:
        runs: list[subprocess.CompletedProcess[str]] = list(pods.map(run_migration, [empty] * 3))
    assert [(run.returncode, run.stdout, run.stderr) for run in runs] == [(0, "", "")] * 3


def test_a_run_that_waits_too_long_for_another_gives_up_in_one_line_and_has_changed_nothing(empty: str) -> None:
    with psycopg.connect(empty) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
        run = run_migration(empty, PLIMSOLL_MIGRATION_WAIT_SECONDS="1")
        tables = other.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert run.returncode == 1
    assert run.stderr == "captions.migrate: rolled back: canceling statement due to lock timeout\n"
    assert tables == (0,)
    assert run_migration(empty).returncode == 0, "the lock goes with whoever held it"


def test_a_table_that_is_in_use_is_not_queued_for_longer_than_its_users_can_bear(empty: str) -> None:
    with psycopg.connect(empty) as user:
        user.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        user.commit()
        user.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        run = run_migration(empty, PLIMSOLL_MIGRATION_WAIT_SECONDS="60")
        took = time.monotonic() - began
    assert (run.returncode, run.stderr) == (
        1,
        "captions.migrate: rolled back: canceling statement due to lock timeout\n",
    )
    assert took < 30, "DDL_LOCK_TIMEOUT, and not the time for which another migration is waited for"
    assert run_migration(empty).returncode == 0


def differences(url: str) -> list[Any]:
    """Between a database and the models."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))


def test_the_migrations_are_the_models(database: Database) -> None:
    assert differences(database.url) == []


@pytest.mark.parametrize(
    "drift",
    [
        "DROP INDEX uq_account_email",
        "DROP INDEX ix_account_created_at_id",
        "DROP INDEX uq_account_email; CREATE INDEX uq_account_email ON account (lower(email))",
        "DROP INDEX uq_account_email; CREATE UNIQUE INDEX uq_account_email ON account (email)",
        "ALTER TABLE account DROP CONSTRAINT uq_account_subject",
        "ALTER TABLE account ALTER age DROP NOT NULL",
        "ALTER TABLE account ALTER age TYPE text",
        "ALTER TABLE slide DROP owner",
        "CREATE TABLE other (id int)",
    ],
)
def test_the_comparison_would_notice(database: Database, drift: LiteralString) -> None:
    database.server.execute(drift, database=database.name)
    assert differences(database.url) != []


def steps(url: str, command: Callable[[Config, str], None], revision: str) -> None:
    """Walk the schema somewhere, as ``captions.migrate`` does."""
    engine = create_engine(url, poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", "captions:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command(config, revision)


def test_the_last_release_is_brought_to_head_with_all_that_it_holds(empty: str) -> None:
    steps(empty, upgrade, "0001")
    job, report = uuid4(), uuid4()
    with psycopg.connect(empty) as then:
        then.execute("INSERT INTO slide (job_id, media_type, content) VALUES (%s, 'image/png', 'png')", [job])
        then.execute("INSERT INTO report (id, text) VALUES (%s, 'typo')", [report])
        then.execute("INSERT INTO plimsoll_jobs.job (id, kind, steps_left, input) VALUES (%s, 'k', 1, '{}')", [job])
    assert (run := run_migration(empty)).returncode == 0, run.stderr
    assert differences(empty) == []
    with psycopg.connect(empty) as now:
        assert now.execute("SELECT job_id, content, owner FROM slide").fetchall() == [(job, b"png", None)]
        assert now.execute("SELECT id, text FROM report").fetchall() == [(report, "typo")]
        # Expand only: what the last release writes, the new schema takes.
        now.execute("INSERT INTO slide (job_id, media_type, content) VALUES (%s, 'image/png', '')", [uuid4()])


def test_the_schema_is_not_taken_back(database: Database) -> None:
    database.server.execute(
        "INSERT INTO account (id, subject, email, name, age) VALUES (gen_random_uuid(), 's', 'e', 'n', 1)",
        database=database.name,
    )
    with pytest.raises(CommandError, match="roll back the image, not the schema"):
        steps(database.url, downgrade, "0001")
    assert database.one("SELECT count(*) FROM account") == 1
    assert differences(database.url) == []


def test_an_image_rolled_back_leaves_the_newer_schema_alone_and_goes_on(database: Database) -> None:
    database.one("UPDATE alembic_version SET version_num = '9999'")
    run = run_migration(database.url)
    assert (run.returncode, run.stderr) == (0, "")
    assert "the schema is newer than this image: Can't locate revision identified by '9999'" in run.stdout
    assert database.one("SELECT version_num FROM alembic_version") == "9999"


def test_a_wrong_password_is_an_answer(server: PrivatePostgres) -> None:
    run = run_migration(server.url(password="guess"), PLIMSOLL_MIGRATION_WAIT_SECONDS="30")
    assert run.returncode == 1
    assert run.stderr.startswith(f"captions.migrate: cannot connect to 127.0.0.1:{server.port}/app: ")
    assert "password authentication failed" in run.stderr
    assert run.stderr.count("\n") == 1
    assert "guess" not in run.stderr


def test_nobody_there_is_one_line_too(unused_port: Callable[[], int]) -> None:
    url = f"postgresql://a:b@127.0.0.1:{unused_port()}/d"
    run = run_migration(url, PLIMSOLL_MIGRATION_WAIT_SECONDS="0")
    assert run.returncode == 1
    assert "Connection refused" in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_database_that_comes_up_later_is_waited_for() -> None:
    with PrivatePostgres() as late:
        late.stop()
        runs: list[subprocess.CompletedProcess[str]] = []
        waiting = threading.Thread(target=lambda: runs.append(run_migration(late.url())))
        waiting.start()
        late.start()
        eventually(lambda: not waiting.is_alive(), within=60)
    assert [(run.returncode, run.stderr) for run in runs] == [(0, "")]
