from __future__ import annotations

from datetime import timedelta

import pytest
from plimsoll_runtime.jobs.attempt import backoff
from plimsoll_runtime.jobs.ledger import _queries
from plimsoll_runtime.jobs.model import JobKind, Json, Registry, Step, StepInput


def blocking(_: StepInput) -> Json:
    return {}


async def cooperative(_: StepInput) -> Json:
    return {}


def step(name: str, *needs: str) -> Step:
    return Step(name, run=blocking, needs=needs)


def test_a_plain_function_gets_a_process_and_a_coroutine_does_not() -> None:
    assert step("a").in_child
    assert not Step("a", run=cooperative).in_child


def test_a_workflow_joins_into_one_step() -> None:
    kind = JobKind("check", (step("ocr"), step("asr"), step("compare", "ocr", "asr")))
    assert set(Registry(kind).steps) == {("check", "ocr"), ("check", "asr"), ("check", "compare")}


@pytest.mark.parametrize(
    "steps",
    [
        (step("a"), step("a")),
        (step("a", "b"), step("b")),
        (step("a", "a"),),
        (step("a"), step("b", "a", "a")),
        (step("a"), step("b")),
        (),
    ],
    ids=["twice", "later", "itself", "needed twice", "two ends", "none"],
)
def test_anything_else_is_refused(steps: tuple[Step, ...]) -> None:
    with pytest.raises(ValueError, match="check"):
        JobKind("check", steps)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (500, 60)])
def test_backoff_doubles_up_to_a_cap_and_its_upper_half_is_drawn(attempt: int, seconds: float) -> None:
    assert backoff(attempt, draw=lambda: 1.0) == timedelta(seconds=seconds)
    assert backoff(attempt, draw=lambda: 0.0) == timedelta(seconds=seconds / 2)


def test_queries_are_found_by_name() -> None:
    assert _queries("-- prose\n-- name: one\nSELECT 1\n\n-- name: two\nSELECT 2\n") == {
        "one": "SELECT 1\n\n",
        "two": "SELECT 2\n",
    }
