from __future__ import annotations

from typing import Any

import pytest
from plimsoll.api.meta import BudgetKey
from plimsoll.budget.demand import Demand, Overlap, demand, processes, web_cost
from plimsoll.units import Connections
from support.builders import a_service, group

MAIN, ORDERS = BudgetKey("demo", "main"), BudgetKey("platform", "orders")


def of(budget: BudgetKey = MAIN, *, overlap: Overlap = Overlap.GUARDED, **wishes: Any) -> Demand:
    return demand(a_service(**wishes), budget, overlap=overlap)


def test_the_common_default_opens_120_connections_in_one_pod() -> None:
    service = a_service(replicas=1, workers=4, pool=10, overflow=20, surge=0, unavailable=1)
    assert web_cost(service, MAIN).connections == Connections(120)
    assert str(demand(service, MAIN)) == "web 1 pods × 4 processes × (10 pool + 20 overflow) = 120"


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


def test_an_autoscaler_counts_at_its_maximum_whatever_replicas_says() -> None:
    scaled = of(replicas=1, web={"autoscaling": {"minReplicas": 2, "maxReplicas": 6}})
    assert str(scaled) == "web (6 + 1 surge) pods × 1 process × 5 pool = 35"
    jobs = of(replicas=0, jobs=(group(replicas=1, autoscaling={"maxReplicas": 4}),))
    assert jobs.connections == Connections((4 + 1) * 2)


def test_workers_that_a_server_starts_before_it_stops_the_old_ones_count() -> None:
    reloading = of(replicas=1, workers=2, pool=5, web={"restartingWorkers": 2})
    assert str(reloading) == "web (1 + 1 surge) pods × (2 + 2 restarting) processes × 5 pool = 40"


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 1),
        ({"cpu": "500m"}, 1),
        ({"cpu": "1"}, 1),
        ({"cpu": "1999m"}, 1),
        ({"cpu": 2}, 2),
        ({"cpu": "3.5"}, 3),
        ({"cpu": "1k"}, 64),
        ({"cpu": "nonsense"}, 1),
        ({"cpu": "-4"}, 1),
        ({"memory": "8Gi"}, 1),
        (None, 1),
        ("2", 1),
    ],
)
def test_workers_left_out_are_one_per_whole_cpu_of_the_limit_and_never_of_the_node(limits: Any, expected: int) -> None:
    service = a_service(web={"workers": None, "resources": {"limits": limits}})
    assert processes(service.spec.web) == expected
    assert processes(a_service(workers=7, web={"resources": {"limits": limits}}).spec.web) == 7


# ---- several databases

TWO = {
    "additionalDatabases": [
        {
            "name": "orders",
            "budgetRef": {"name": "orders", "namespace": "platform"},
            "secretRef": {"name": "orders-db"},
            "poolSize": 3,
            "maxOverflow": 1,
            "jobConnectionsPerProcess": 1,
        }
    ]
}


def test_each_budget_is_asked_for_what_connects_to_its_server() -> None:
    wishes: dict[str, Any] = {"jobs": (group("ocr", replicas=1, processes=2),), "migration": 2, **TWO}
    assert str(of(**wishes)) == (
        "web (2 + 1 surge) pods × 1 process × 5 pool = 15; jobs ocr (1 + 1 surge) pods × 2 processes × 2 pool = 8;"
        " migration 2"
    )
    assert str(of(ORDERS, **wishes)) == (
        "web (2 + 1 surge) pods × 1 process × (3 pool orders + 1 overflow orders) = 12;"
        " jobs ocr (1 + 1 surge) pods × 2 processes × 1 pool orders = 4"
    )
    assert a_service(**wishes).budget_keys == (MAIN, ORDERS)


def test_two_databases_of_one_budget_are_added_up() -> None:
    both = [{**TWO["additionalDatabases"][0], "budgetRef": {"name": "main"}}]
    assert str(of(additionalDatabases=both)) == (
        "web (2 + 1 surge) pods × 1 process × (5 pool + 3 pool orders + 1 overflow orders) = 27"
    )
    assert a_service(additionalDatabases=both).budget_keys == (MAIN,)


def test_the_dearest_pod_is_of_any_workload_that_has_some() -> None:
    dear = group("ocr", replicas=1, processes=4, connections=5)
    assert of(jobs=(dear,)).per_pod == Connections(20)
    assert of(jobs=({**dear, "replicas": 0},)).per_pod == Connections(5)
    assert of(replicas=0, migration=3).per_pod == Connections(3)


# ---- without a guard


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"replicas": 3}, "(3 + 1 surge + 2 terminating + 3 evicted)"),
        ({"replicas": 1}, "(1 + 1 surge + 1 evicted)"),
        ({"replicas": 20, "rollout": {"maxSurge": 1, "maxUnavailable": 0, "minReadySeconds": 12}}, "+ 3 terminating"),
        ({"replicas": 2, "web": {"autoscaling": {"minReplicas": 2, "maxReplicas": 5}}}, "(5 + 1 surge + 7 terminating"),
    ],
)
def test_without_a_guard_what_terminates_in_one_rollout_scale_down_and_drain_is_counted(
    wishes: dict[str, Any], words: str
) -> None:
    grace = {"drainSeconds": 5, "requestDeadlineSeconds": 20, "lifespanSeconds": 5}  # 36 s in all
    assert words in str(of(overlap=Overlap.COUNTED, shutdown=grace, **wishes))


def test_a_rollout_from_rest_never_has_more_than_twice_the_replicas() -> None:
    whole = of(overlap=Overlap.COUNTED, replicas=4, surge=6)
    assert whole.workloads[0].terminating == 0


@pytest.mark.parametrize(
    ("wishes", "pods"),
    [
        pytest.param({"replicas": 3}, 3 + 1 + 2 + 3, id="from rest: never more than twice the replicas, and a drain"),
        pytest.param({"replicas": 4, "surge": 2, "unavailable": 1}, 4 + 2 + 2 + 4, id="the surging ones included"),
        pytest.param(
            {"replicas": 20, "rollout": {"maxSurge": 2, "maxUnavailable": 1, "minReadySeconds": 12}},
            20 + 2 + (2 + 1) * 3 + 20,
            id="3 windows of 12 s in a grace period of 36 s, in each as many as surge and are missing",
        ),
        pytest.param(
            {"replicas": 2, "web": {"autoscaling": {"minReplicas": 2, "maxReplicas": 5}}},
            5 + 1 + (4 + 3) + 5,
            id="an autoscaler takes down what lies between its bounds",
        ),
        pytest.param({"replicas": 0}, 0, id="no replicas, no pods"),
    ],
)
def test_without_a_guard_every_pod_that_may_be_there_is_counted_once(wishes: dict[str, Any], pods: int) -> None:
    grace = {"drainSeconds": 5, "requestDeadlineSeconds": 20, "lifespanSeconds": 5}  # 36 s in all
    (web,) = of(overlap=Overlap.COUNTED, shutdown=grace, **wishes).workloads
    assert (web.pods, web.connections) == (pods, Connections(5 * pods))


@pytest.mark.parametrize("other", ["a", "z"])
def test_what_connects_elsewhere_is_not_counted_wherever_that_comes_in_the_alphabet(other: str) -> None:
    database = {"name": "orders", "budgetRef": {"name": other}, "secretRef": {"name": "o"}, "poolSize": 3}
    database |= {"jobConnectionsPerProcess": 1}
    wishes: dict[str, Any] = {
        "replicas": 1,
        "jobs": (group(replicas=1, connections=2),),
        "migration": 4,
        "additionalDatabases": [database],
    }
    assert of(**wishes).connections == Connections(2 * 5 + 2 * 2 + 4)
    assert of(BudgetKey("demo", other), **wishes).connections == Connections(2 * 3 + 2 * 1)
