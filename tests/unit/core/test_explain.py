from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hypothesis import assume, given
from hypothesis import strategies as st
from plimsoll.api.databases import LARGEST_POOL
from plimsoll.budget.demand import Overlap, demand
from plimsoll.budget.ledger import Claim, Ledger, Want
from plimsoll.explain import Case, largest_pool, over_budget
from plimsoll.units import Connections
from support.builders import a_service, group

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIService

SERVICES = st.builds(
    lambda jobs, **wishes: a_service(jobs=tuple(jobs), **wishes),
    replicas=st.integers(0, 6),
    workers=st.integers(1, 8),
    pool=st.integers(1, 30),
    overflow=st.integers(0, 30),
    extra=st.integers(0, 2),
    surge=st.integers(0, 3),
    unavailable=st.just(1),
    migration=st.sampled_from((None, 1, 5)),
    jobs=st.lists(st.builds(group, replicas=st.integers(0, 4), connections=st.integers(1, 9)), max_size=1),
)
MARGINS = st.sampled_from((None, 0, 7))


def book(room: int, *, held: int = 0, margin: int | None = 0) -> Ledger:
    """A ledger that leaves ``room`` beside what another service holds, before the margin."""
    other = Claim(namespace="demo", name="other", uid="other", connections=Connections(held))
    return Ledger(
        capacity=Connections(room + held),
        margin=None if margin is None else Connections(margin),
        claims=(other,) if held else (),
    )


def sentence(service: FastAPIService, ledger: Ledger) -> str:
    wanted = demand(service, service.budget_key)
    want = Want(uid=service.metadata.uid, connections=wanted.connections, per_pod=wanted.per_pod)
    return over_budget(Case(service=service, key=service.budget_key, ledger=ledger), want=want)


def test_the_refusal_of_the_common_default_says_sum_room_holders_miscount_and_remedy() -> None:
    service = a_service(replicas=1, workers=4, pool=10, overflow=20)
    assert sentence(service, book(60, held=31)) == (
        "Needs 240 connections: web (1 + 1 surge) pods × 4 processes × (10 pool + 20 overflow) = 240."
        " Budget demo/main has 60 free for it: 91 − 31 held by others. Held: 31 by demo/other."
        " One pod looks like 4 × 10 = 40, but every process has its own pool and max_overflow opens connections too:"
        " 4 × (10 + 20) = 120."
        " What would fit: database.pool.size 7 with maxOverflow 0."
    )


def test_the_margin_is_that_of_the_pods_it_asks_for() -> None:
    service = a_service(replicas=1, workers=4, pool=10)
    assert "has 51 free for it: 91 − 40 margin." in sentence(service, book(91, margin=None))


def test_only_the_largest_holders_are_named() -> None:
    claims = tuple(
        Claim(namespace="demo", name=f"s{number}", uid=str(number), connections=Connections(number))
        for number in range(1, 6)
    )
    ledger = Ledger(capacity=Connections(20), margin=Connections(0), claims=claims, elsewhere=Connections(2))
    assert (
        "Held: 5 by demo/s5, 4 by demo/s4, 3 by demo/s3, the rest by 2 more, 2 in other budgets of the same server."
    ) in sentence(a_service(replicas=4), ledger)


def test_rolling_one_pod_at_a_time_may_be_enough() -> None:
    assert sentence(a_service(replicas=4, pool=5), book(21)).endswith(
        "What would fit: rollout.maxSurge 0 with maxUnavailable 1, or database.pool.size 4 with maxOverflow 0."
    )


def test_where_only_fewer_processes_leave_room_for_a_pool_it_says_so() -> None:
    assert sentence(a_service(replicas=1, workers=4, pool=10), book(7)).endswith(
        "What would fit: web.workers 1 and database.pool.size 3 with maxOverflow 0."
    )


def test_where_no_pool_is_small_enough_it_names_the_other_ways() -> None:
    service = a_service(replicas=4, jobs=(group(replicas=50, connections=5),))
    assert sentence(service, book(7)).endswith(
        "No pool is small enough: use fewer replicas or job workers, or free connections elsewhere."
    )


def test_who_would_shrink_is_told_that_even_the_floor_is_too_large() -> None:
    service = a_service(replicas=2, pool=9, whenOver="ShrinkPool")
    assert "Not even a pool of 5, its smallest, fits." in sentence(service, book(7))


def test_without_overflow_there_is_no_miscount_to_explain() -> None:
    assert "looks like" not in sentence(a_service(replicas=40), book(7))


@given(service=SERVICES, room=st.integers(0, 400), margin=MARGINS)
def test_the_largest_pool_is_exactly_the_largest(service: FastAPIService, room: int, margin: int | None) -> None:
    assume(service.spec.web.replicas)
    ledger = book(room, margin=margin)
    case = Case(service=service, key=service.budget_key, ledger=ledger)
    size = largest_pool(case)

    def fit(pool: int) -> bool:
        return case.but_pool(pool).fits

    assert fit(size) if size else not fit(1)
    assert not fit(size + 1)


@given(service=SERVICES)
def test_what_it_says_would_fit_is_a_pool_that_the_api_accepts(service: FastAPIService) -> None:
    assert largest_pool(Case(service=service, key=service.budget_key, ledger=book(10**9))) <= LARGEST_POOL


@given(service=SERVICES, room=st.integers(0, 400), margin=MARGINS)
def test_every_way_that_it_names_does_fit(service: FastAPIService, room: int, margin: int | None) -> None:
    ledger = book(room, held=500, margin=margin)
    case = Case(service=service, key=service.budget_key, ledger=ledger)
    assume(not case.fits)
    said = sentence(service, ledger)
    assert f"Needs {case.wanted.connections} connections" in said
    if advice := re.search(r"(web\.workers 1 and )?database\.pool\.size (\d+) with maxOverflow 0", said):
        advised = case.but_pool(int(advice[2]))
        assert (_with(advised, web={"workers": 1}) if advice[1] else advised).fits
    elif "maxSurge 0" not in said:
        assert "No pool is small enough" in said
        assert not _with(case.but_pool(1), web={"workers": 1}).fits
    if "maxSurge 0" in said:
        assert _with(case, rollout={"max_surge": 0, "max_unavailable": 1}).fits


def _with(case: Case, **parts: dict[str, Any]) -> Case:
    spec = case.service.spec
    return case.but(**{name: getattr(spec, name).model_copy(update=values) for name, values in parts.items()})


def test_of_an_additional_database_it_is_that_ones_pool_that_would_fit() -> None:
    orders = {"name": "orders", "budgetRef": {"name": "other"}, "secretRef": {"name": "x"}, "poolSize": 9}
    service = a_service(replicas=2, additionalDatabases=[orders])
    case = Case(service=service, key=service.budget_keys[1], ledger=book(20))
    want = Want(uid=service.metadata.uid, connections=case.wanted.connections)
    assert over_budget(case, want=want).endswith(
        "What would fit: rollout.maxSurge 0 with maxUnavailable 1, or additionalDatabases[orders].poolSize 6 with"
        " maxOverflow 0."
    )


def test_without_a_guard_the_terms_are_those_of_that_mode() -> None:
    service = a_service(replicas=2)
    case = Case(service=service, key=service.budget_key, ledger=book(20), overlap=Overlap.COUNTED)
    want = Want(uid=service.metadata.uid, connections=case.wanted.connections)
    assert "(2 + 1 surge + 1 terminating + 2 evicted) pods" in over_budget(case, want=want)
