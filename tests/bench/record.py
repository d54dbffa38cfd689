"""Results of a bench: one JSON file each, with what is needed to run it again and to compare."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("results")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpus": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[2], 1),
    }


def write(bench: str, *, command: str, figures: dict[str, Any], peers: dict[str, Any] | None = None) -> Path:
    """Writes the bench's file, and prints it."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
    ).stdout
    result = {
        "bench": bench,
        "command": command,
        "commit": commit.strip(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine(),
        "figures": figures,
        "peers": peers or {},
    }
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{bench}.json"
    file.write_text(json.dumps(result, indent=2) + "\n")
    print(file.read_text())
    return file
