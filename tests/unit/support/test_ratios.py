"""The interval of a ratio, and the client behind it."""

from __future__ import annotations

import random

import pytest
from fastapi import FastAPI, HTTPException
from support.hammer import Get, WrongAnswerError, hammer
from support.in_process import serving
from support.ratios import ratio


def rounds(middle: float, *, spread: float, count: int = 24) -> list[float]:
    dice = random.Random(7)  # noqa: S311 - the same rounds each time
    return [dice.gauss(middle, spread) for _ in range(count)]


def test_an_interval_holds_the_truth_and_is_narrower_for_quieter_rounds() -> None:
    quiet, loud = ratio(rounds(1.1, spread=0.01)), ratio(rounds(1.1, spread=0.1))
    for found in (quiet, loud):
        assert found.low <= found.value <= found.high
        assert found.low < 1.1 < found.high
    assert quiet.high - quiet.low < (loud.high - loud.low) / 5


def test_one_round_that_was_disturbed_moves_little() -> None:
    assert ratio([*rounds(1.1, spread=0.01), 5.0]).value == pytest.approx(1.1, abs=0.02)


def test_the_same_rounds_have_the_same_interval() -> None:
    assert ratio(rounds(1.1, spread=0.1)) == ratio(rounds(1.1, spread=0.1))


def counting() -> tuple[FastAPI, list[str]]:
    app, seen = FastAPI(), list[str]()

    @app.get("/{what}")
    async def what(what: str) -> str:
        seen.append(what)
        if what == "missing":
            raise HTTPException(404)
        return what

    return app, seen


def test_the_client_sends_as_many_requests_as_asked_in_turns() -> None:
    app, seen = counting()
    gets = [Get(path="/a", body=b'"a"'), Get(path="/b", body=b'"b"', headers={"x-other": "1"})]
    with serving(app) as url:
        assert hammer(int(url.rpartition(":")[2]), gets, count=101, connections=3) > 0
    assert (seen.count("a"), seen.count("b")) == (51, 50)


@pytest.mark.parametrize(
    "get",
    [
        Get(path="/a", body=b'"b"'),
        Get(path="/a", body=b'"aa"'),
        Get(path="/a", body=b'"'),
        Get(path="/missing", body=b'{"detail":"Not Found"}'),
    ],
)
def test_an_answer_that_is_not_the_expected_one_ends_the_run(get: Get) -> None:
    app, _ = counting()
    with serving(app) as url, pytest.raises(WrongAnswerError):
        hammer(int(url.rpartition(":")[2]), [get], count=10, connections=2)
