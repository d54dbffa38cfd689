"""``python -m captions.migrate``: bring the schema to its head. The operator runs it before each rollout.

One connection, one transaction. An advisory lock lets one run at a time through; a lock_timeout keeps a migration that
waits for a table from blocking everyone who queues behind it. At first install the database may still be starting, or
its name not resolve yet: that is waited for, at most PLIMSOLL_MIGRATION_WAIT_SECONDS. A wrong password is not.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from plimsoll_runtime.connecting import connect_arguments
from plimsoll_runtime.errors import PlimsollError
from plimsoll_runtime.settings import Settings
from pydantic import Field
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from sqlalchemy import Engine

LOCK_KEY: Final = 0x706C696D73  # "plims"
DDL_LOCK_TIMEOUT: Final = "5s"
PASSING: Final = ("starting up", "shutting down", "in recovery", "too many clients", "remaining connection slots")
"""What a server says that will take us in a while; any other FATAL is an answer."""


class MigrationSettings(Settings):
    """The contract, and how long to wait."""

    plimsoll_migration_wait_seconds: Annotated[float, Field(ge=0, le=600)] = 60
    """For the database to accept connections, and for another migration to finish."""


class MigrationError(PlimsollError):
    """The schema was left as it was."""


def main() -> int:
    """Migrate; returns the exit code."""
    try:
        migrate(MigrationSettings.load())
    except PlimsollError as error:
        print(f"captions.migrate: {error}", file=sys.stderr)  # noqa: T201 - one sentence to a person
        return 1
    return 0


def migrate(settings: MigrationSettings) -> None:
    """Upgrade to head.

    Raises:
        MigrationError: with one sentence that says why it could not.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(settings.database_url.reveal(), **connect_arguments(settings, bounded=False)),
        poolclass=NullPool,
    )
    with _connect(engine, settings) as connection:
        try:
            with connection.begin():
                _lock(connection, settings.plimsoll_migration_wait_seconds)
                config = Config()
                config.set_main_option("script_location", "captions:migrations")
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except DBAPIError as error:
            raise MigrationError(f"rolled back: {_first_line(error)}") from error
        except CommandError as error:
            if "Can't locate revision" not in str(error):
                raise MigrationError(f"nothing done: {error}") from error
            # A rollback: the schema is of a later image. Migrations only ever expand what an earlier image needs.
            print(f"captions.migrate: nothing to do, the schema is newer than this image: {error}")  # noqa: T201 - likewise


def _connect(engine: Engine, settings: MigrationSettings) -> Connection:
    deadline = time.monotonic() + settings.plimsoll_migration_wait_seconds
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            said = str(error.orig)
            if ("FATAL" in said and not any(word in said for word in PASSING)) or time.monotonic() >= deadline:
                where = settings.database_url.where
                raise MigrationError(f"cannot connect to {where}: {_first_line(error)}") from error
        time.sleep(1)


def _lock(connection: Connection, wait_seconds: float) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{max(1, int(wait_seconds * 1000))}ms'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
    connection.execute(text(f"SET LOCAL lock_timeout = '{DDL_LOCK_TIMEOUT}'"))


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
