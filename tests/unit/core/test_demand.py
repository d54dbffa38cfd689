"""What a service can open at worst, and the words in which it is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll.budget.demand import demand
from plimsoll.budget.ledger import Claim, Ledger
from plimsoll.explain import largest_pool, over_budget, what_would_fit, with_pool
from plimsoll.units import Connections
from support.builders import a_service


def spec(**wishes):
    return a_service(**wishes).spec


JOB = {"name": "ocr", "command": ["work"], "replicas": 1, "processes": 2, "connectionsPerProcess": 3}


@pytest.mark.parametrize(
    ("wishes", "connections"),
    [
        ({"replicas": 2, "pool": 5}, 15),
        ({"replicas": 2, "pool": 5, "surge": 0, "unavailable": 1}, 10),
        ({"replicas": 1, "workers": 4, "pool": 10, "overflow": 20}, 240),
        ({"replicas": 2, "pool": 5, "extra": 1}, 18),
        ({"replicas": 2, "pool": 5, "migration": 1}, 16),
        ({"replicas": 2, "pool": 5, "jobs": (JOB,)}, 15 + 2 * 6),
        ({"replicas": 0, "pool": 5}, 0),
        ({"replicas": 0, "pool": 5, "jobs": (JOB | {"replicas": 0},), "migration": 2}, 2),
    ],
)
def test_demand_is_pods_times_processes_times_pool_surge_and_migration_included(wishes, connections):
    assert demand(spec(**wishes)).connections == Connections(connections)


def test_the_common_default_is_counted_as_it_is_and_not_as_it_looks():
    usual = spec(replicas=1, workers=4, pool=10, overflow=20)
    ledger = Ledger(
        usable=Connections(91),
        claims=(Claim(namespace="demo", name="captions", uid="c", connections=Connections(20)),),
    )
    sentence = over_budget(spec=usual, budget="demo/main", ledger=ledger, room=Connections(71))
    assert "Needs 240 connections: web (1 + 1 surge) pods × 4 processes × (10 pool + 20 overflow) = 240." in sentence
    assert "Budget demo/main has 71 free for it of 91 usable." in sentence
    assert "One pod looks like 4 × 10 = 40" in sentence
    assert "4 × (10 + 20) = 120" in sentence
    assert "What would fit: database.pool.size 8 with maxOverflow 0." in sentence


def test_where_no_overflow_hides_anything_nothing_is_said_of_it():
    ledger = Ledger(usable=Connections(10))
    assert "looks like" not in over_budget(spec=spec(pool=50), budget="b", ledger=ledger, room=Connections(10))


def test_fewer_workers_are_named_where_no_pool_of_theirs_would_fit():
    assert what_would_fit(spec(replicas=1, workers=8, pool=5), room=Connections(9)) == (
        "What would fit: web.workers 1 and database.pool.size 4 with maxOverflow 0."
    )


def test_where_nothing_small_enough_exists_that_is_said():
    assert "No pool is small enough" in what_would_fit(spec(replicas=20, pool=5), room=Connections(9))


@given(
    replicas=st.integers(0, 6),
    workers=st.integers(1, 5),
    pool=st.integers(1, 40),
    overflow=st.integers(0, 40),
    surge=st.integers(1, 3),
    migration=st.integers(0, 2),
    room=st.integers(0, 200),
)
def test_what_is_said_to_fit_fits_and_one_more_would_not(replicas, workers, pool, overflow, surge, migration, room):
    asked = spec(
        replicas=replicas, workers=workers, pool=pool, overflow=overflow, surge=surge, migration=migration or None
    )
    size = largest_pool(asked, room=Connections(room))
    if size:
        assert demand(with_pool(asked, size=size)).connections <= Connections(room)
    if replicas:
        assert demand(with_pool(asked, size=size + 1)).connections > Connections(room)
