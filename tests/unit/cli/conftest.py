from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from plimsoll_cli.main import app
from plimsoll_operator.cluster import Cluster
from support.memory_cluster import MemoryCluster
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from plimsoll.api.meta import Manifest


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command line as a user calls it, in a terminal of 120 columns."""
    monkeypatch.delenv("PLIMSOLL_DSN", raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: object, stdin: str | bytes = "") -> Result:
        result: Any = CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result  # type: ignore[no-any-return] # typer's runner is click's

    return call


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A file with some manifests, or with text that is none."""

    def written(*contents: Manifest | str, name: str = "app.yaml") -> Path:
        file = tmp_path / name
        texts = [each if isinstance(each, str) else yaml.safe_dump(each, allow_unicode=True) for each in contents]
        file.write_text("---\n".join(texts), encoding="utf-8")
        return file

    return written


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    """The cluster of the current kubeconfig."""
    twin = MemoryCluster()

    async def connect() -> Cluster:
        return twin

    monkeypatch.setattr(Cluster, "connect", connect)
    return twin
