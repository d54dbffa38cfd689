"""`make check` finds what must not be committed, and does not cry over what may."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCAN = """
set -euo pipefail
. {root}/hack/lib/common.sh
. {root}/hack/lib/secrets.sh
root={folder} venv={venv}
secret_scan
"""
# In pieces, or this file would be found itself.
AWS = "AKIA" + "Q3EGU7XPLRYN4VZB"
GITHUB = "ghp_" + "x7Kd92mQpL4vRt81sWzB3nYcF6hJ0aUeG5iT"
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiJtZSIsImlzcyI6InRlc3RzIn0." + "8Vv3yq2mZk0Xr5nB7cTq1dWsYh4uJp9eLgAoKfRi6xM"


def scan(folder: Path, **files: str) -> tuple[int, str]:
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_py", ".py").replace("_yaml", ".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    done = subprocess.run(
        ["bash", "-c", SCAN.format(root=ROOT, folder=folder, venv=sys.prefix)],
        env={"PATH": os.environ["PATH"], "PLIMSOLL_CACHE": str(folder.with_name("cache"))},
        capture_output=True,
        check=False,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("planted", [AWS, GITHUB, PEM, JWT], ids=["aws", "github", "pem", "jwt"])
@pytest.mark.parametrize("where", ["service__app_py", "tests__test_app_py"])
def test_a_planted_key_is_found_wherever_it_is(tmp_path: Path, where: str, planted: str) -> None:
    status, said = scan(tmp_path / "clone", **{where: f"KEY = '{planted}'"})
    assert (status, where.replace("__", "/").replace("_py", ".py") in said) == (1, True), said
    assert planted not in said


@pytest.mark.parametrize(
    "line",
    ["PASSWORD = 'correct-horse-7'", "URL = 'postgresql://app:tr0ub4dor@db/app'", "token: 'b3c9f0d2a17e4586'"],
)
def test_a_password_in_the_code_is_found(tmp_path: Path, line: str) -> None:
    assert scan(tmp_path / "clone", examples__secret_yaml=line)[0] == 1


def test_what_is_no_secret_is_not(tmp_path: Path) -> None:
    fine = {
        "docs__a_yaml": "url: postgresql://user:password@host:5432/database",
        "examples__b_yaml": "password: quickstart",
        "tests__c_py": "PASSWORD = 'correct horse'\nURL = 'postgresql://u:s3cret@h/d'",
    }
    assert scan(tmp_path / "clone", **fine) == (0, "")
