from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plimsoll.api.fastapiservice import Shutdown
from plimsoll.shutdown import JOBS, WEB, job_grace_seconds, web_grace_seconds

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


@given(SHUTDOWNS)
def test_what_is_too_long_is_refused_and_nothing_else(shutdown: Shutdown) -> None:
    assert bool(WEB.refusal(shutdown)) == (web_grace_seconds(shutdown) > 3600)
    assert bool(JOBS.refusal(shutdown)) == (job_grace_seconds(shutdown) > 6 * 3600)


def test_a_refusal_says_the_sum_and_what_to_take_away() -> None:
    assert WEB.refusal(Shutdown(request_deadline_seconds=4000)) == (
        "shutdown: a web pod may take 0 preStopSeconds + 5 drainSeconds + 4000 requestDeadlineSeconds + 5"
        " lifespanSeconds + 6 for signals and clearing away = 4016 s to end, and 3600 s is the most: a rollout and a"
        " node drain wait so long for each pod; lower these deadlines by 416 s in all"
    )
    assert "30000 jobDeadlineSeconds + 5 lifespanSeconds + 6" in JOBS.refusal(Shutdown(job_deadline_seconds=30000))
