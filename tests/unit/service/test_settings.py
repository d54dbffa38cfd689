from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from plimsoll_runtime.errors import SettingsError
from plimsoll_runtime.settings import DatabaseUrl, Settings
from pydantic import ValidationError

if TYPE_CHECKING:
    from pathlib import Path

URL = "postgresql://app:s3cret@db.example:6432/captions?sslmode=require"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_contract_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("DB_POOL_SIZE", "7")
    monkeypatch.setenv("PLIMSOLL_DRAIN_SECONDS", "0")
    monkeypatch.setenv("PGAPPNAME", "captions-7d4f")
    settings = Settings.load()
    assert (settings.db_pool_size, settings.plimsoll_drain_seconds, settings.pgappname) == (7, 0, "captions-7d4f")
    assert settings.database_url.where == "db.example:6432/captions"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("postgres://a@h/d", "postgresql://a@h/d"),
        ("postgresql+psycopg://a@h/d", "postgresql://a@h/d"),
        ("postgresql://a@/d?host=/run/postgresql", "postgresql://a@/d?host=/run/postgresql"),
    ],
)
def test_the_usual_schemes_are_understood(given: str, sent: str) -> None:
    assert DatabaseUrl(given).reveal() == sent


def test_the_password_appears_nowhere() -> None:
    settings = Settings(database_url=DatabaseUrl(URL))
    for text in (repr(settings), str(settings), str(settings.model_dump()), repr(settings.database_url)):
        assert "s3cret" not in text
        assert "db.example" in text


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:s3cret@h/d",
        "host=h password=s3cret",
        "postgresql://u:s3cret/x@h/d",
        "postgresql://u:1/s3cret@h/d",
        "postgresql://u:pa@s3cret@h/d",
    ],
)
def test_a_wrong_url_is_one_sentence_without_the_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not a URL") as caught:
        Settings.load()
    assert "s3cret" not in str(caught.value)


def test_every_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_POOL_SIZE", "0")
    monkeypatch.setenv("PORT", "http")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value).count(";") == 2
    assert "DATABASE_URL is not set" in str(caught.value)
    assert "DB_POOL_SIZE should be greater than or equal to 1" in str(caught.value)


def test_it_is_frozen() -> None:
    settings = Settings(database_url=DatabaseUrl(URL))
    with pytest.raises(ValidationError):
        settings.db_pool_size = 99  # type: ignore[misc] # mypy knows it too


def test_a_file_is_read_in_development_only_and_yields_to_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"DATABASE_URL={URL}\nDB_POOL_SIZE=3\nPORT=9\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="DATABASE_URL is not set"):
        Settings.load()
    monkeypatch.setenv("PLIMSOLL_DEV", "1")
    monkeypatch.setenv("PORT", "8001")
    settings = Settings.load()
    assert (settings.database_url.where, settings.db_pool_size, settings.port) == ("db.example:6432/captions", 3, 8001)


def test_a_wrong_environment_is_exit_code_2_and_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plimsoll_runtime", "serve", "captions.main:app"],
        env={"PATH": "/usr/bin"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    example = "(it looks like postgresql://user:password@host:5432/database)"
    assert done.stderr == f"plimsoll_runtime: DATABASE_URL is not set {example}\n"


def test_a_service_that_is_not_told_whose_tokens_to_take_does_not_start() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plimsoll_runtime", "serve", "captions.main:app"],
        env={"PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path), "DATABASE_URL": URL, "PORT": "0"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    missing = "PLIMSOLL_TOKEN_ISSUER is not set; PLIMSOLL_TOKEN_AUDIENCE is not set"
    assert done.stderr == f"plimsoll_runtime: {missing}\n"
