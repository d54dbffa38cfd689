from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import assume, given
from hypothesis import strategies as st
from plimsoll.api.fastapiservice import LARGEST_POOL
from plimsoll.budget.demand import demand
from plimsoll.budget.ledger import Ledger
from plimsoll.explain import largest_pool, over_budget, with_pool
from plimsoll.units import Connections
from support.builders import a_service, group

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIServiceSpec

SPECS = st.builds(
    lambda jobs, **wishes: a_service(jobs=tuple(jobs), **wishes).spec,
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


def sentence(spec: FastAPIServiceSpec, *, room: int, usable: int) -> str:
    return over_budget(spec=spec, budget="demo/main", ledger=Ledger(usable=Connections(usable)), room=Connections(room))


def test_the_refusal_of_the_common_default_says_sum_room_miscount_and_remedy() -> None:
    spec = a_service(replicas=1, workers=4, pool=10, overflow=20).spec
    assert sentence(spec, room=60, usable=91) == (
        "Needs 240 connections: web (1 + 1 surge) pods × 4 processes × (10 pool + 20 overflow) = 240."
        " Budget demo/main has 60 free for it of 91 usable."
        " One pod looks like 4 × 10 = 40, but every process has its own pool and max_overflow opens connections too:"
        " 4 × (10 + 20) = 120."
        " What would fit: database.pool.size 7 with maxOverflow 0."
    )


def test_where_only_fewer_processes_leave_room_for_a_pool_it_says_so() -> None:
    spec = a_service(replicas=1, workers=4, pool=10).spec
    assert sentence(spec, room=7, usable=91).endswith(
        "What would fit: web.workers 1 and database.pool.size 3 with maxOverflow 0."
    )


def test_where_no_pool_is_small_enough_it_names_the_other_ways() -> None:
    spec = a_service(replicas=4, jobs=(group(replicas=50, connections=5),)).spec
    assert sentence(spec, room=7, usable=91).endswith(
        "No pool is small enough: use fewer replicas or job workers, or free connections elsewhere."
    )


def test_without_overflow_there_is_no_miscount_to_explain() -> None:
    assert "looks like" not in sentence(a_service(replicas=40).spec, room=7, usable=91)


@given(spec=SPECS, room=st.integers(0, 400))
def test_the_largest_pool_is_exactly_the_largest(spec: FastAPIServiceSpec, room: int) -> None:
    assume(spec.web.replicas)
    size = largest_pool(spec, room=Connections(room))

    def needs(pool: int) -> int:
        return demand(with_pool(spec, size=pool)).connections.count

    assert needs(size) <= room if size else needs(1) > room
    assert needs(size + 1) > room


@given(spec=SPECS)
def test_what_it_says_would_fit_is_a_pool_that_the_api_accepts(spec: FastAPIServiceSpec) -> None:
    assert largest_pool(spec, room=Connections(10**9)) <= LARGEST_POOL


@given(spec=SPECS, room=st.integers(0, 400))
def test_what_it_says_would_fit_does_fit(spec: FastAPIServiceSpec, room: int) -> None:
    assume(demand(spec).connections > Connections(room))
    said = sentence(spec, room=room, usable=500)
    assert f"Needs {demand(spec).connections} connections" in said
    assert f"has {room} free for it of 500 usable" in said
    if advice := re.search(r"fit: (web\.workers 1 and )?database\.pool\.size (\d+) with maxOverflow 0\.", said):
        advised = with_pool(spec, size=int(advice[2]))
        if advice[1]:
            advised = advised.model_copy(update={"web": advised.web.model_copy(update={"workers": 1})})
        assert demand(advised).connections <= Connections(room)
    else:
        least = with_pool(spec, size=1)
        least = least.model_copy(update={"web": least.web.model_copy(update={"workers": 1})})
        assert demand(least).connections > Connections(room)
