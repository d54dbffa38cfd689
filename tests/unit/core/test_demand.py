from __future__ import annotations

from typing import Any

import pytest
from plimsoll.budget.demand import Demand, demand, web_cost
from plimsoll.units import Connections
from support.builders import a_service, group


def of(**wishes: Any) -> Demand:
    return demand(a_service(**wishes).spec)


def test_the_common_default_opens_120_connections_in_one_pod() -> None:
    spec = a_service(replicas=1, workers=4, pool=10, overflow=20, surge=0, unavailable=1).spec
    assert web_cost(spec).connections == Connections(120)
    assert str(demand(spec)) == "web 1 pods × 4 processes × (10 pool + 20 overflow) = 120"


def test_every_term_is_printed_and_they_add_up() -> None:
    whole = of(
        replicas=3,
        workers=2,
        pool=5,
        overflow=1,
        extra=1,
        jobs=(group("ocr", replicas=2, processes=3, connections=2),),
        migration=4,
    )
    assert str(whole) == (
        "web (3 + 1 surge) pods × 2 processes × (5 pool + 1 overflow + 1 extra) = 56;"
        " jobs ocr (2 + 1 surge) pods × 3 processes × 2 pool = 18; migration 4"
    )
    assert whole.connections == Connections(56 + 18 + 4)


def test_no_replicas_are_no_pods_not_even_a_surging_one() -> None:
    assert of(replicas=0, surge=3).connections == Connections(0)
    assert str(of(replicas=0, surge=3)) == "web 0 pods × 1 process × 5 pool = 0"


def test_job_workers_have_no_overflow_and_no_extras_of_the_web_pool() -> None:
    with_jobs = of(replicas=0, overflow=9, extra=9, jobs=(group(replicas=1, processes=2, connections=3),))
    assert with_jobs.connections == Connections((1 + 1) * 2 * 3)


@pytest.mark.parametrize(("migration", "more"), [(None, 0), (1, 1), (7, 7)])
def test_a_migration_runs_beside_all_pods(migration: int | None, more: int) -> None:
    assert of(migration=migration).connections == Connections(15 + more)


def test_the_surge_counts_for_every_workload() -> None:
    assert of(replicas=2, surge=2, jobs=(group(replicas=1), group("mail", replicas=1))).connections == Connections(
        4 * 5 + 3 * 2 + 3 * 2
    )
