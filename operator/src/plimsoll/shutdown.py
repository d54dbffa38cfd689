"""Deadlines that add up: from the parts of a pod's end to terminationGracePeriodSeconds.

Used by the builders. The kubelet counts the preStop hook into the grace period, and kills at its end; so the grace
period must outlast every phase, each of which has a deadline of its own:

    preStop → drain (accepting, Connection: close) → requests or jobs under way → lifespan (pools, telemetry) → slack
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import Shutdown

SUPERVISION_SECONDS: Final = 1
"""uvicorn sees a signal within 0.1 s, its supervisor of workers within 0.5 s, and sleeps 0.1 s: 0.7, rounded up."""

SLACK_SECONDS: Final = 5
"""What the kubelet and the runtime may take between the hook, the signal and the exit."""


def web_grace_seconds(shutdown: Shutdown) -> int:
    """terminationGracePeriodSeconds of a web pod, in seconds."""
    return (
        shutdown.pre_stop_seconds
        + shutdown.drain_seconds
        + SUPERVISION_SECONDS
        + shutdown.request_deadline_seconds
        + shutdown.lifespan_seconds
        + SLACK_SECONDS
    )


def job_grace_seconds(shutdown: Shutdown) -> int:
    """terminationGracePeriodSeconds of a pod of job workers, in seconds. No requests come, so nothing drains."""
    return SUPERVISION_SECONDS + shutdown.job_deadline_seconds + shutdown.lifespan_seconds + SLACK_SECONDS
