"""Renders the chart with the real helm."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

ROOT = Path(__file__).parents[2]
CHART = ROOT / "chart"
KUBERNETES = next(
    line.partition("=")[2].split()[0]
    for line in (ROOT / "hack/versions.env").read_text().splitlines()
    if line.startswith("KUBERNETES=")
)


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs helm; the one that `make` prepared, or the one on PATH."""
    cache = Path(os.environ.get("PLIMSOLL_CACHE", ROOT / ".cache"))
    program = shutil.which("helm", path=str(cache / "bin")) or shutil.which("helm")
    if program is None:
        raise RuntimeError("the chart is tested with helm, and there is none: `make check` and `make test` build it")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def render(*settings: str, release: str = "plimsoll") -> list[Manifest]:
    """The manifests that the chart makes of ``settings`` (``key=value``)."""
    done = _template(*settings, release=release)
    if done.returncode:
        raise AssertionError(done.stderr)
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def refusal(*settings: str) -> str:
    """Why helm refuses ``settings``."""
    done = _template(*settings)
    assert done.returncode, f"{settings} was accepted"
    return done.stderr


def _template(*settings: str, release: str = "plimsoll") -> subprocess.CompletedProcess[str]:
    chosen = [word for each in settings for word in ("--set", each)]
    return helm(
        "template", release, str(CHART), "--namespace", "plimsoll-system", "--kube-version", KUBERNETES, *chosen
    )
