"""Without a collector telemetry costs nothing, not even its import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from fastapi import FastAPI
from plimsoll_runtime.adopt import adopt
from starlette.testclient import TestClient

app = FastAPI()
adopt(app, request_log=True)
with TestClient(app) as client:
    client.get("/")
print("opentelemetry.sdk.trace" in sys.modules, "opentelemetry.exporter" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("env", "imported"),
    [
        ({}, "False False"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "True True"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, "True True"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, "False False"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}, "False False"),
    ],
)
def test_it_is_imported_where_a_collector_is_named_and_nowhere_else(env: dict[str, str], imported: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=clean | env, capture_output=True, check=True, text=True, timeout=60
    )
    assert run.stderr.splitlines()[-1] == imported
