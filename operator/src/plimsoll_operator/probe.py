"""Asks a PostgreSQL server for its limits: one short connection, one statement (``probe.sql``).

The only module that talks to a database. Its errors never repeat the URI, which holds a password.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from importlib import resources
from typing import Any, Final

import psycopg
from plimsoll.budget.capacity import ServerFacts
from plimsoll.errors import ProbeFailed
from psycopg.rows import class_row

_SQL: Final = resources.files(__package__).joinpath("probe.sql").read_text(encoding="utf-8")

_FULL: Final = ("too many clients", "remaining connection slots are reserved", "too many connections for")
"""What PostgreSQL says with SQLSTATE 53300; psycopg has no sqlstate for errors while connecting."""


async def probe(uri: str, *, connect_timeout_seconds: int) -> ServerFacts:
    """Reads the server's limits.

    Raises:
        ProbeFailed: it cannot be reached, refuses the role, is full, or the URI is not one.
    """
    if not uri.startswith(("postgresql://", "postgres://")):
        raise ProbeFailed("The Secret's value is not a PostgreSQL URI (postgresql://user:password@host:5432/database).")
    if _hides_a_password(uri):
        raise ProbeFailed(
            "The user or password in the Secret's URI holds a character that must be percent-encoded there: / is %2F,"
            " @ is %40, : is %3A, ? is %3F, # is %23."
        )
    try:
        async with asyncio.timeout(2 * connect_timeout_seconds):  # a connection that goes dead says nothing by itself
            connection = await psycopg.AsyncConnection.connect(
                uri,
                autocommit=True,
                connect_timeout=connect_timeout_seconds,
                application_name="plimsoll-operator",
                options=f"-c statement_timeout={connect_timeout_seconds}s",
            )
            async with connection, connection.cursor(row_factory=class_row(ServerFacts)) as cursor:
                await cursor.execute(_SQL.encode())
                facts = await cursor.fetchone()
                identifier = await _identifier(connection)
    except TimeoutError:
        raise ProbeFailed(f"The server did not answer within {2 * connect_timeout_seconds} s.") from None
    except psycopg.OperationalError as error:
        raise _failed(error) from None
    except (psycopg.Error, UnicodeError, ValueError, OSError):
        raise ProbeFailed(
            "The server cannot be asked with the Secret's URI: it is malformed, or the role may not read the settings."
        ) from None
    if facts is None:
        raise ProbeFailed("The server did not answer with its limits.")
    return replace(facts, system_identifier=identifier)


async def _identifier(connection: psycopg.AsyncConnection[Any]) -> str:
    """Which database cluster this is; empty where a provider keeps that to itself, and two budgets count apart."""
    try:
        row = await (await connection.execute("SELECT system_identifier::text FROM pg_control_system()")).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return ""
    return str(row[0]) if row else ""


def _hides_a_password(uri: str) -> bool:
    """Whether libpq would take a part of the password for the host, and name it in its error."""
    user, at, _ = uri.partition("://")[2].rpartition("@")
    return bool(at) and not set(user).isdisjoint("/@?#")


def _failed(error: psycopg.OperationalError) -> ProbeFailed:
    words = " ".join(str(error).split()).removeprefix("connection failed: ")
    words = words.partition(" Is the server running")[0].rstrip(".")  # libpq ends in a question, which is no sentence
    full = any(mark in words for mark in _FULL)
    prefix = "The server has no connection left even to be asked" if full else "The server cannot be asked"
    return ProbeFailed(f"{prefix}: {words}.", full=full)
