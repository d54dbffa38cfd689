from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll.budget.capacity import ServerFacts
from plimsoll_cli.output.canvas import STYLE
from plimsoll_cli.output.drawing import COLOURS, Part, bar
from plimsoll_cli.plan import plan, with_facts
from support.builders import a_budget, a_service

WHITE, DARK = "#ffffff", "#0f172a"


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_services_colour_is_read_under_white_letters_and_seen_on_both_pages(colour: str) -> None:
    assert contrast(colour, WHITE) >= 4.5
    assert contrast(colour, DARK) >= 3


@pytest.mark.parametrize("dark", [False, True])
def test_words_are_read_on_what_they_stand_on(dark: bool) -> None:
    light, _, night = STYLE.partition("@media")
    fills = dict(re.findall(r"\.(\w+)\{(?:stroke:#\w+;)?fill:(#\w{6})\}", light))
    fills |= dict(re.findall(r"\.(\w+)\{(?:stroke:#\w+;)?fill:(#\w{6})\}", night)) if dark else {}
    for words, ground in (
        *((each, "page") for each in ("ink", "soft", "good", "bad")),
        *(("ink", each) for each in ("free", "margin", "kept")),
        *(("on", each) for each in ("server", "elsewhere")),
    ):
        assert contrast(fills[words], fills[ground]) >= 4.5, (words, ground)


def test_every_service_of_a_dozen_has_a_colour_of_its_own() -> None:
    assert len(set(COLOURS)) == len(COLOURS) >= 12


@settings(deadline=None)  # a busy machine is no defect
@given(
    most=st.integers(1, 300),
    superuser=st.integers(0, 5),
    reserved=st.integers(0, 5),
    limit=st.none() | st.integers(0, 200),
    reserve=st.integers(0, 20),
    provider=st.integers(0, 20),
    margin=st.none() | st.integers(0, 30),
    replicas=st.lists(st.integers(0, 9), max_size=4),
)
def test_the_bar_is_the_whole_server_without_a_gap_and_claims_end_at_the_line(
    most: int,
    superuser: int,
    reserved: int,
    limit: int | None,
    reserve: int,
    provider: int,
    margin: int | None,
    replicas: list[int],
) -> None:
    facts = ServerFacts(
        version="",
        max_connections=most,
        superuser_reserved=superuser,
        reserved=reserved,
        role_limit=limit,
        database_limit=None,
    )
    wish = a_budget(usable=None, reserve=reserve, providerReserved=provider, margin=margin)
    services = [a_service(f"s{index}", number=index, replicas=each) for index, each in enumerate(replicas)]
    (budget,) = plan(budgets=[with_facts(wish, facts)], services=services).budgets
    drawn = bar(budget)
    ends = [0, *(each.end for each in drawn.stretches)]
    assert [each.start for each in drawn.stretches] == ends[:-1]
    assert all(each.count > 0 for each in drawn.stretches)
    if superuser + reserved + provider <= most:
        assert ends[-1] == drawn.most == most
    given_away = {Part.CLAIM, Part.FREE}
    assert sum(each.count for each in drawn.stretches if each.part in given_away) == drawn.line
    assert all((each.part in given_away) == (each.end <= drawn.line) for each in drawn.stretches)
    refused = [row for row in budget.rows if row.is_refused]
    assert len(drawn.excess) == len(refused)
