"""What the probe makes of errors; against a real server: tests/integration/operator."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from plimsoll.errors import ProbeFailed
from plimsoll_operator.probe import probe

SECRET = "hunter2"


def failing(uri: str) -> ProbeFailed:
    with pytest.raises(ProbeFailed) as caught:
        asyncio.run(probe(uri, connect_timeout_seconds=1))
    return caught.value


def answering(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def connect(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect)


@pytest.mark.parametrize(
    "words",
    [
        "connection failed: FATAL:  sorry, too many clients already",
        "connection failed: FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'connection failed: FATAL:  too many connections for role "owner"',
        'connection failed: FATAL:  too many connections for database "app"',
    ],
)
def test_a_full_server_is_told_from_one_that_is_away(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    answering(monkeypatch, psycopg.OperationalError(words))
    failure = failing(f"postgresql://owner:{SECRET}@db/app")
    assert failure.full
    assert str(failure).startswith("The server has no connection left even to be asked: ")


def test_one_that_is_away_is_not_full(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, psycopg.OperationalError("connection failed: Connection refused\n\tIs it up?"))
    failure = failing(f"postgresql://owner:{SECRET}@db/app")
    assert not failure.full
    assert "\n" not in str(failure)
    assert str(failure).startswith("The server cannot be asked: Connection refused")


def test_what_is_no_uri_is_refused_without_being_repeated() -> None:
    said = str(failing(f"host=db user=owner password={SECRET}"))
    assert "is not a PostgreSQL URI" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql://owner:{SECRET}/x@127.0.0.1:1/app",
        f"postgresql://owner:x@{SECRET}@127.0.0.1:1/app",
        f"postgresql://owner:x/{SECRET}@127.0.0.1:1/app",
        f"postgresql://owner:{SECRET}@127.0.0.1:notaport/app",
        f"postgresql://owner:{SECRET}@127.0.0.1:1/app?nonsense={SECRET}",
        f"postgresql://owner:{SECRET}@127.0.0.1:1/app",
        f"postgresql://owner:{SECRET}@[::1/app",
        f"postgresql://owner:{SECRET}%zz@127.0.0.1:1/app",
        f"postgresql://owner:{SECRET}@no such host/app",
        f"postgresql://{SECRET}:{SECRET}:{SECRET}/app@127.0.0.1:1",
    ],
)
def test_no_part_of_a_password_is_in_any_message_however_the_uri_is_broken(uri: str) -> None:
    failure = failing(uri)
    assert SECRET not in str(failure)
    assert failure.__cause__ is None, "a chained error would repeat the URI in a log"
    assert failure.__suppress_context__ or failure.__context__ is None


def test_a_password_with_a_slash_is_told_how_to_write_it() -> None:
    assert "percent-encoded" in str(failing(f"postgresql://owner:{SECRET}/x@127.0.0.1:1/app"))
