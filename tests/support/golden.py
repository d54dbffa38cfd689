"""Golden files: what is rendered, as it was reviewed. ``PLIMSOLL_UPDATE_GOLDEN=1`` writes them anew; read the diff."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from plimsoll.api.meta import Manifest

UPDATE = "PLIMSOLL_UPDATE_GOLDEN"


def agree(manifest: Manifest, golden: Path) -> None:
    """Compares a manifest with a golden file, or writes the file where that is asked for."""
    agree_text(yaml.safe_dump(manifest, sort_keys=False, width=120, allow_unicode=True), golden)


def agree_text(text: str, golden: Path) -> None:
    """Likewise, any text."""
    if os.environ.get(UPDATE):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert golden.exists(), f"no {golden.name} yet: run the test with {UPDATE}=1 and review what it wrote"
    assert text == golden.read_text(encoding="utf-8"), f"{golden.name} differs; {UPDATE}=1 updates it"
