"""terminationGracePeriodSeconds outlasts every phase of a pod's end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plimsoll.api.fastapiservice import Shutdown
from plimsoll.shutdown import job_grace_seconds, web_grace_seconds

seconds = st.integers(0, 3600)


@given(pre_stop=seconds, drain=seconds, request=seconds, job=seconds, lifespan=seconds)
def test_the_grace_period_is_at_least_what_the_contract_needs(pre_stop, drain, request, job, lifespan):
    shutdown = Shutdown(
        pre_stop_seconds=pre_stop,
        drain_seconds=drain,
        request_deadline_seconds=request,
        job_deadline_seconds=job,
        lifespan_seconds=lifespan,
    )
    assert web_grace_seconds(shutdown) >= pre_stop + drain + 0.7 + request + lifespan + 5
    assert job_grace_seconds(shutdown) >= 0.7 + job + lifespan + 5


def test_the_defaults_give_a_web_pod_thirty_six_seconds():
    assert web_grace_seconds(Shutdown()) == 36
    assert job_grace_seconds(Shutdown()) == 41
