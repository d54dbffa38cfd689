"""How long the state machines run: short and the same for everyone, or long and exploring, with PLIMSOLL_EXAMPLES."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXPLORES = "PLIMSOLL_EXAMPLES" in os.environ
CHECKS = settings(
    max_examples=int(os.environ.get("PLIMSOLL_EXAMPLES", "100")),
    stateful_step_count=12,
    deadline=None,
    derandomize=not EXPLORES,
    database=None,
    suppress_health_check=list(HealthCheck),
)
