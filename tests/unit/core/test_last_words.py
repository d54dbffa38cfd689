from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll.last_words import LONGEST_LINE, MOST_LINES, last_lines, last_words, printed_last


@given(st.text())
def test_what_is_shown_is_bounded_and_holds_no_control_character_but_the_line_breaks(text: str) -> None:
    lines = last_lines(text).split("\n")
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= LONGEST_LINE
    assert all(
        line.isprintable() or not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in line) for line in lines
    )


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("", ""),
        ("\n\n  \n", ""),
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("\x1b[1;31mERROR\x1b[0m: no\tway\x00", "ERROR: no way"),
        ("\x1b]0;title\x07done", "done"),
        ("to postgresql://shop:s3cret@db:5432/shop", "to postgresql://shop:***@db:5432/shop"),
        ("to postgresql://shop:s3@c:r/et@db:5432/shop", "to postgresql://shop:***@db:5432/shop"),
        (
            "to postgresql://db/shop?user=x&Password=s3cret&sslmode=require",
            "to postgresql://db/shop?user=x&Password=***&sslmode=require",
        ),
        ("host=db password=s3&cret user=shop", "host=db password=*** user=shop"),
        ("host=db password = 's3 c\\'ret' user=shop", "host=db password = *** user=shop"),
        ("Settings(PGPASSWORD='s3cret', user='shop')", "Settings(PGPASSWORD=***, user='shop')"),
        ("FATAL: password authentication failed", "FATAL: password authentication failed"),
        ("\n".join(map(str, range(100))), "\n".join(map(str, range(88, 100)))),
        ("x" * 500, "x" * 239 + "…"),
        ("right \u202eto left", "right  to left"),
    ],
)
def test_the_last_lines_are_shown_and_nothing_that_moves_a_terminal(printed: str, shown: str) -> None:
    assert last_lines(printed) == shown


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("s3cret@db:5432/shop\nKeyError", "KeyError"),
        ("s3cret@db:5432/shop and no line break", "and no line break"),
        ("é3cret@db:5432/shop\nKeyError", "KeyError"),
    ],
)
def test_what_was_cut_begins_with_a_whole_line(printed: str, shown: str) -> None:
    cut = printed + " " * (2048 - len(printed.encode()))
    assert printed_last({"message": cut}) == shown
    assert printed_last({"message": printed}) == printed, "what is short is whole"


def pod(finished: str = "", *, job: str = "migrate", phase: str = "Failed", **more: Any) -> dict[str, Any]:
    ended = {"finishedAt": finished, "exitCode": 1, "message": f"at {finished}"} | more.pop("ended", {})
    status = {"phase": phase, "containerStatuses": [{"state": {"terminated": ended}}]} | more
    return {"metadata": {"ownerReferences": [{"kind": "Job", "name": job}]}, "status": status}


def test_of_several_tries_the_last_one_speaks() -> None:
    pods = [pod("2026-01-01T00:00:02Z"), pod("2026-01-01T00:00:03Z"), pod("2026-01-01T00:00:01Z"), pod(phase="Running")]
    assert last_words(pods) == {"migrate": "exit code 1. Its last lines:\nat 2026-01-01T00:00:03Z"}
    assert last_words([pod(phase="Succeeded"), {"metadata": {}, "status": {"phase": "Failed"}}]) == {}


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        (pod(ended={"message": ""}), "exit code 1, and it printed nothing"),
        (
            pod(ended={"exitCode": 137, "reason": "OOMKilled"}),
            "exit code 137: it used more memory than its limit. Its last lines:\nat",
        ),
        (
            pod(reason="DeadlineExceeded", ended={"exitCode": 143, "message": "waiting for a lock"}),
            "it took longer than migrations.timeoutSeconds. Its last lines:\nwaiting for a lock",
        ),
        (
            pod(containerStatuses=[], reason="Evicted", message="The node was low on resource: memory."),
            "Evicted The node was low on resource: memory.",
        ),
        (pod(containerStatuses=[]), "its pod failed"),
    ],
)
def test_how_it_ended_is_said_first(failed: dict[str, Any], words: str) -> None:
    assert last_words([failed]) == {"migrate": words}
