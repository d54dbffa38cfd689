from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from plimsoll.accounts import ledger_of
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.budget.capacity import ServerFacts
from plimsoll.budget.ledger import Claim
from plimsoll.budget_report import after_reading, with_ledger, without_secret
from plimsoll.errors import ProbeFailed
from plimsoll.units import Connections
from support.builders import NOW, a_budget, claim, uid

if TYPE_CHECKING:
    from plimsoll.api.budgetstatus import ConnectionBudgetStatus

FACTS = ServerFacts(
    version="17.2",
    max_connections=100,
    superuser_reserved=3,
    reserved=0,
    role_limit=None,
    database_limit=None,
    backends={"psql": 7},
)
REFUSED = ProbeFailed("The server cannot be asked: connection refused.")
MINUTE_LATER, HOUR_LATER = "2026-01-01T12:01:00Z", "2026-01-01T13:00:00Z"


def read(budget: ConnectionBudget, reading: ServerFacts | ProbeFailed = FACTS, *, now: str = NOW) -> ConnectionBudget:
    return budget.model_copy(update={"status": after_reading(budget, reading, now=now)})


def grown(budget: ConnectionBudget, connections: int, *, now: str = NOW) -> ConnectionBudget:
    claimed = Claim(namespace="demo", name="shop", uid=uid(1), connections=Connections(connections))
    ledger = ledger_of(budget, now=now).with_claim(claimed)
    return budget.model_copy(update={"status": with_ledger(budget, ledger, now=now)})


def said(budget: ConnectionBudget) -> tuple[str, str]:
    """Which of the three conditions is True, and the reason."""
    true = [each for each in budget.status.conditions if each.status == "True"]
    assert len(true) == 1
    return true[0].type, true[0].reason


def message(status: ConnectionBudgetStatus) -> str:
    return status.conditions[0].message


def test_a_reading_becomes_numbers_and_the_sum_that_they_come_from() -> None:
    status = read(a_budget(usable=None)).status
    assert status.server is not None
    assert (status.server.max_connections, status.server.version, status.server.observed_time) == (100, "17.2", NOW)
    assert (status.usable, status.claimed, status.free, status.load) == (91, 0, 91, "0%")
    assert (status.live, status.peak, status.observed_generation) == (7, 7, 1)
    assert message(status) == (
        "91 usable = 100 max_connections − 3 superuser_reserved_connections = 97, − 5 reserve − 1 operator − 0 margin;"
        " 0 claimed."
    )
    assert said(read(a_budget(usable=None))) == ("Ready", "Observed")


def test_the_peak_is_the_most_ever_seen() -> None:
    busy = read(a_budget(usable=None), replace(FACTS, backends={"psql": 80}))
    status = read(busy, now=MINUTE_LATER).status
    assert (status.live, status.peak) == (7, 80)


def test_claims_are_summed_up() -> None:
    status = grown(read(a_budget(usable=None)), 30).status
    assert (status.claimed, status.free, status.load) == (30, 61, "32%")
    assert message(status).endswith("; 30 claimed.")


def test_the_same_facts_read_again_soon_are_not_written_again() -> None:
    first = read(a_budget(usable=None))
    assert read(first, now=MINUTE_LATER).status == first.status


def test_but_before_the_reading_grows_old_its_time_is_renewed() -> None:
    first = read(a_budget(usable=None))
    server = read(first, now="2026-01-01T12:02:31Z").status.server
    assert server is not None
    assert server.observed_time == "2026-01-01T12:02:31Z"


def test_other_facts_are_written_at_once() -> None:
    server = read(read(a_budget(usable=None)), replace(FACTS, max_connections=50), now=MINUTE_LATER).status.server
    assert server is not None
    assert (server.max_connections, server.observed_time) == (50, MINUTE_LATER)


def test_a_failed_reading_leaves_the_last_one_in_place_and_says_for_how_long() -> None:
    before = grown(read(a_budget(usable=None)), 30)
    after = read(before, REFUSED, now=MINUTE_LATER)
    assert said(after) == ("Reconciling", "ServerUnreachable")
    assert message(after.status) == (
        "The server cannot be asked: connection refused. The reading of 2026-01-01T12:00:00Z still counts, until"
        " 2026-01-01T12:10:00Z."
    )
    assert (after.status.usable, after.status.claimed, after.status.server) == (91, 30, before.status.server)


def test_when_it_is_too_old_nothing_may_grow() -> None:
    after = read(read(a_budget(usable=None)), REFUSED, now=HOUR_LATER)
    assert message(after.status).endswith(
        "No reading of its limits is valid, so nothing may grow; what runs is left alone."
    )
    assert ledger_of(after, now=HOUR_LATER).usable is None


@pytest.mark.parametrize(("age", "valid"), [("12:10:00", True), ("12:10:01", False)])
def test_a_reading_counts_for_exactly_as_long_as_the_spec_says(age: str, valid: bool) -> None:
    budget = read(a_budget(usable=None, staleAfterSeconds=600))
    assert (ledger_of(budget, now=f"2026-01-01T{age}Z").usable is not None) == valid


def test_a_server_that_is_full_is_up_and_exhausted_and_not_unreachable() -> None:
    assert said(read(a_budget(), ProbeFailed("It is full.", full=True))) == ("Reconciling", "ServerFull")


def test_claims_that_change_meanwhile_do_not_make_an_unreachable_server_look_ready() -> None:
    failing = read(read(a_budget(usable=None)), REFUSED, now=MINUTE_LATER)
    after = grown(failing, 30, now=MINUTE_LATER)
    assert after.status.claimed == 30
    assert after.status.conditions == failing.status.conditions
    assert said(read(after, now=MINUTE_LATER)) == ("Ready", "Observed")


def test_more_claimed_than_the_server_gives_stalls_and_takes_nothing_away() -> None:
    before = grown(read(a_budget(usable=None)), 30)
    after = read(before, replace(FACTS, max_connections=30), now=MINUTE_LATER)
    assert said(after) == ("Stalled", "Overcommitted")
    assert message(after.status).startswith("30 claimed, and the server gives 21 usable = 30 max_conn")
    assert (after.status.claimed, after.status.free, after.status.load) == (30, 0, "142%")


def test_a_server_that_gives_nothing_has_no_load_to_divide_by() -> None:
    assert read(a_budget(usable=None), replace(FACTS, max_connections=4)).status.load == ""


def test_a_secret_that_cannot_be_read_stalls_with_the_sentence_given() -> None:
    budget = read(a_budget(usable=None))
    status = without_secret(budget, "There is no Secret.", now=MINUTE_LATER)
    after = budget.model_copy(update={"status": status})
    assert said(after) == ("Stalled", "SecretUnreadable")
    assert message(status) == "There is no Secret."
    assert status.usable == 91


def test_conditions_are_about_the_generation_that_the_numbers_are_about() -> None:
    edited = read(a_budget(usable=None))
    edited = edited.model_copy(update={"metadata": edited.metadata.model_copy(update={"generation": 2})})
    assert {each.observed_generation for each in grown(edited, 30).status.conditions} == {1}
    assert {each.observed_generation for each in read(edited, now=MINUTE_LATER).status.conditions} == {2}


def test_the_ledger_survives_the_wire() -> None:
    budget = a_budget(claims=(claim(1, 30), claim(2, 10)))
    ledger = ledger_of(budget, now=NOW)
    assert (ledger.claimed, ledger.free) == (Connections(40), Connections(51))
    wire: Any = with_ledger(budget, ledger, now=NOW).model_dump(by_alias=True, exclude_none=True, mode="json")
    again = ConnectionBudget.model_validate({**budget.model_dump(by_alias=True), "status": wire})
    assert ledger_of(again, now=NOW) == ledger
