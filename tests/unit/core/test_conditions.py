from __future__ import annotations

import pytest
from plimsoll.conditions import ConditionType, Finding, Progress, Reason, conditions, summary

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("progress", "ready", "reconciling", "stalled"),
    [
        (Progress.DONE, "True", "False", "False"),
        (Progress.UNDER_WAY, "False", "True", "False"),
        (Progress.STALLED, "False", "False", "True"),
    ],
)
def test_the_three_conditions_of_kstatus_never_contradict_each_other(
    progress: Progress, ready: str, reconciling: str, stalled: str
) -> None:
    findings = summary(progress=progress, reason=Reason.AVAILABLE, message="So it is.")
    made = conditions(findings=findings, before=(), generation=3, now=EARLY)
    assert {each.type: each.status for each in made} == {
        "Ready": ready,
        "Reconciling": reconciling,
        "Stalled": stalled,
    }
    assert {(each.observed_generation, each.reason, each.message) for each in made} == {(3, "Available", "So it is.")}


def test_a_time_moves_only_where_a_status_does() -> None:
    first = conditions(
        findings=summary(progress=Progress.UNDER_WAY, reason=Reason.PROGRESSING, message="1/2"),
        before=(),
        generation=1,
        now=EARLY,
    )
    second = conditions(
        findings=summary(progress=Progress.DONE, reason=Reason.AVAILABLE, message="2/2"),
        before=first,
        generation=1,
        now=LATE,
    )
    assert {each.type: each.last_transition_time for each in second} == {
        "Ready": LATE,
        "Reconciling": LATE,
        "Stalled": EARLY,
    }


def test_the_same_findings_again_change_nothing() -> None:
    findings = summary(progress=Progress.DONE, reason=Reason.AVAILABLE, message="2/2")
    first = conditions(findings=findings, before=(), generation=1, now=EARLY)
    assert conditions(findings=findings, before=first, generation=1, now=LATE) == first


def test_what_is_not_known_is_unknown_and_what_is_no_longer_said_goes() -> None:
    unknown = Finding(
        type=ConditionType.BUDGET_GRANTED, status=None, reason=Reason.WAITING_FOR_BUDGET, message="No reading."
    )
    first = conditions(findings=[unknown], before=(), generation=1, now=EARLY)
    assert first[0].status == "Unknown"
    assert conditions(findings=[], before=first, generation=1, now=LATE) == ()


def test_a_message_is_never_longer_than_the_api_server_takes() -> None:
    for length, end in ((32768, "x"), (32769, "…")):
        findings = summary(progress=Progress.STALLED, reason=Reason.CRASH_LOOP, message="x" * length)
        (message,) = {each.message for each in conditions(findings=findings, before=(), generation=1, now=EARLY)}
        assert (len(message), message[-1]) == (32768, end)
