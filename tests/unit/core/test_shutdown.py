from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plimsoll.api.fastapiservice import Shutdown
from plimsoll.shutdown import job_grace_seconds, web_grace_seconds

SECONDS, DEADLINES = st.integers(0, 3600), st.integers(1, 3600)
SHUTDOWNS = st.builds(
    Shutdown,
    pre_stop_seconds=SECONDS,
    drain_seconds=SECONDS,
    request_deadline_seconds=DEADLINES,
    job_deadline_seconds=SECONDS,
    lifespan_seconds=DEADLINES,
)


@given(SHUTDOWNS)
def test_a_web_pods_grace_outlasts_every_phase_of_its_end(shutdown: Shutdown) -> None:
    phases = (
        shutdown.pre_stop_seconds
        + shutdown.drain_seconds
        + 0.7
        + shutdown.request_deadline_seconds
        + shutdown.lifespan_seconds
        + 5
    )
    assert phases <= web_grace_seconds(shutdown) < phases + 1


@given(SHUTDOWNS)
def test_a_job_workers_grace_outlasts_its_jobs_deadline_and_its_lifespan(shutdown: Shutdown) -> None:
    phases = 0.7 + shutdown.job_deadline_seconds + shutdown.lifespan_seconds + 5
    assert phases <= job_grace_seconds(shutdown) < phases + 1


def test_the_defaults_add_up() -> None:
    assert web_grace_seconds(Shutdown()) == 0 + 5 + 1 + 20 + 5 + 5
    assert job_grace_seconds(Shutdown()) == 1 + 30 + 5 + 5
