"""Whom the operator tells, and whom it wakes: events on transitions, metrics that vanish, services that wait."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from plimsoll.api.meta import BudgetKey
from plimsoll.errors import Forbidden
from plimsoll_operator import metrics
from plimsoll_operator.cluster import Cluster
from prometheus_client import generate_latest
from support.builders import budget_manifest
from support.operated import BUDGET, SHOP, facts, refusing
from support.virtual_loop import run

if TYPE_CHECKING:
    from support.operated import Operated


def told(operated: Operated) -> list[str]:
    """The reasons of the events since this was last asked."""
    reasons = [each["reason"] for each in operated.cluster.told]
    operated.cluster.told.clear()
    return reasons


def test_an_event_is_written_when_a_reason_changes_and_never_again(operated: Operated) -> None:
    operated.budget()
    operated.service()
    operated.look()
    assert told(operated) == ["WaitingForGuard"]
    operated.look()
    assert told(operated) == []
    operated.settle()
    assert told(operated)[-1] == "Available"
    operated.edit(pool=500)
    operated.settle()
    assert told(operated) == ["OverBudget"]


def test_an_event_that_may_not_be_written_stops_nothing(operated: Operated) -> None:
    operated.budget()
    operated.service()
    with refusing(operated.cluster, "create Event", Forbidden("403")):
        operated.settle()
    assert operated.condition()["status"] == "True"


def test_a_pod_that_opens_more_than_declared_wakes_its_service_and_that_says_so(operated: Operated) -> None:
    operated.budget()
    operated.service(replicas=2, pool=5)
    operated.settle()
    pod = next(operated.cluster.of_kind("Pod"))["metadata"]["name"]
    operated.answer = facts(backends={pod: 9})
    operated.woken.clear()
    told(operated)
    operated.look(BUDGET)
    assert SHOP in operated.woken
    operated.look()
    assert (told(operated), operated.claims()) == (["MoreThanDeclared"], {"shop": 15 + 4 * 3})
    operated.woken.clear()
    operated.look(BUDGET)
    assert operated.woken == [], "the same again is no news"
    operated.answer = facts(backends={pod: 5})
    operated.now = "2026-01-01T12:20:00Z"
    operated.look(BUDGET)
    assert SHOP in operated.woken
    operated.look()
    assert (told(operated), operated.claims()) == (["Declared"], {"shop": 15})


def test_an_overdraft_outlives_the_pods_that_it_was_seen_of_and_its_end_wakes_the_service(operated: Operated) -> None:
    operated.budget()
    operated.service()
    operated.settle()
    pods = list(operated.cluster.of_kind("Pod"))
    operated.answer = facts(backends={pods[0]["metadata"]["name"]: 9})
    operated.look(BUDGET)
    operated.look()
    assert operated.claims() == {"shop": 15 + 4 * 3}
    for pod in pods:
        operated.cluster.remove("Pod", "demo", pod["metadata"]["name"])
    operated.answer = facts()
    operated.look(BUDGET)
    operated.look()
    assert operated.claims() == {"shop": 15 + 4 * 3}, "its next pods are as its last ones"
    operated.woken.clear()
    operated.now = "2026-01-01T12:20:00Z"
    operated.look(BUDGET)
    assert SHOP in operated.woken
    operated.look()
    assert operated.claims() == {"shop": 15}


def test_who_waits_for_a_budget_is_woken_by_room_in_another_one_of_its_server(operated: Operated) -> None:
    same: dict[str, Any] = {"system_identifier": "7", "started": "2026-01-01T00:00:00Z"}
    operated.answer = facts(**same)
    operated.budget()
    operated.cluster.put(budget_manifest(name="twin", usable=None))
    operated.look(type(BUDGET)(BUDGET.kind, "demo", "twin"))
    operated.look(BUDGET)
    big = operated.service("big", replicas=8, pool=10)
    late = operated.service("late", replicas=2, pool=5, budget="twin")
    operated.settle(big, late)
    assert operated.condition("late")["reason"] == "OverBudget"
    operated.woken.clear()
    operated.cluster.remove("FastAPIService", "demo", "big")
    for _ in range(20):
        operated.look(big)
        operated.world.run()
    assert (operated.claims(), late in operated.woken) == ({}, True)
    operated.settle(late)
    assert operated.condition("late")["status"] == "True"


# ---- metrics


def lines(text: str) -> list[str]:
    return [line for line in generate_latest().decode().splitlines() if text in line and not line.startswith("#")]


def test_the_numbers_of_a_service_that_is_gone_and_of_a_budget_that_is_gone_vanish(operated: Operated) -> None:
    operated.budget()
    operated.service()
    operated.settle()
    assert 'plimsoll_budget_claimed_connections{budget="main",namespace="demo"} 15.0' in lines("budget_claimed")
    assert any(line.endswith(" 15.0") for line in lines('budget="main",namespace="demo",service="shop"'))
    operated.cluster.remove("FastAPIService", "demo", "shop")
    operated.settle()
    operated.look(BUDGET)
    assert lines('budget="main",namespace="demo",service="shop"') == []
    assert lines('budget="main",namespace="demo"') != []
    operated.cluster.remove("ConnectionBudget", "demo", "main")
    operated.look(BUDGET)
    assert lines('budget="main",namespace="demo"') == []
    metrics.forget_budget(BudgetKey("demo", "main"))  # one that is not known is no error


# ---- an operator of some namespaces


class _Asked(Cluster):
    """Answers each list with one object, and remembers what was asked."""

    def __init__(self, *namespaces: str) -> None:
        super().__init__(None, namespaces=namespaces)  # type: ignore[arg-type] # nothing is sent
        self.paths: list[str] = []

    async def _request(self, method: str, path: str, **_: Any) -> Any:
        self.paths.append(path)
        return {"items": [{"metadata": {"name": path}}], "metadata": {}}


def test_an_operator_of_some_namespaces_lists_each_of_them_and_nothing_beyond() -> None:
    cluster = _Asked("a", "b")

    async def everything(_: object) -> list[Any]:
        found = [await cluster.list(kind) for kind in ("FastAPIService", "Pod", "PriorityClass")]
        return [*found, await cluster.list("Pod", namespace="c")]

    found = run(everything)
    assert cluster.paths == [
        "/apis/plimsoll.dev/v1alpha1/namespaces/a/fastapiservices",
        "/apis/plimsoll.dev/v1alpha1/namespaces/b/fastapiservices",
        "/api/v1/namespaces/a/pods",
        "/api/v1/namespaces/b/pods",
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        "/api/v1/namespaces/c/pods",
    ]
    assert [len(each) for each in found] == [2, 2, 1, 1]
    assert json.dumps(found).count('"kind": "Pod"') == 3
