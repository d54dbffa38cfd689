"""Whose connections a server has open, and who opens more than was declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from plimsoll.api.meta import BudgetKey
from plimsoll.observed import PodView
from plimsoll.units import Connections
from plimsoll.usage import OPERATOR_NAME, Usage, usage
from support.builders import NOW, a_budget, claim, uid

if TYPE_CHECKING:
    from plimsoll.api.budgetstatus import UsageStatus

MAIN, TWIN, OTHER = BudgetKey("demo", "main"), BudgetKey("demo", "twin"), BudgetKey("demo", "other")


def pod(name: str, connections: int = 5, *, number: int = 1, budget: BudgetKey = MAIN, part: str = "web") -> PodView:
    return PodView(
        namespace="demo",
        name=name,
        service=f"s{number}",
        part=part,
        uid=uid(number),
        budget=budget,
        connections=Connections(connections),
    )


def seen(
    backends: dict[str, int],
    *pods: PodView,
    server: frozenset[BudgetKey] = frozenset({MAIN}),
    now: str = NOW,
    **spec: Any,
) -> Usage:
    return usage(backends, budget=a_budget(**spec), pods=pods, server=server, now=now)


def remembered(undeclared: int, when: str) -> dict[str, Any]:
    before = {"namespace": "demo", "name": "s1", "uid": uid(1), "live": 9, "peak": 12}
    overdrafts = [{"part": "web", "connections": undeclared, "seenTime": when}] if undeclared else []
    return {"status": {"usage": [before | {"overdrafts": overdrafts}]}}


def overdrafts(service: UsageStatus) -> list[tuple[str, int, str]]:
    return [(each.part, each.connections, each.seen_time) for each in service.overdrafts]


def test_what_a_services_pods_have_open_is_its_own_and_nobody_elses() -> None:
    found = seen({"a-1": 3, "a-2": 4, "b-1": 2}, pod("a-1"), pod("a-2"), pod("b-1", number=2), pod("c-1", number=3))
    assert [(each.name, each.live, each.peak, each.undeclared) for each in found.services] == [
        ("s1", 7, 7, 0),
        ("s2", 2, 2, 0),
        ("s3", 0, 0, 0),
    ]
    assert (found.strangers, found.unexplained) == ((), 0)


def test_of_each_workload_the_pod_that_opens_most_beyond_what_it_declares_is_told() -> None:
    pods = (pod("a-1"), pod("a-2"), pod("a-3", 9), pod("a-4", part="jobs-ocr"), pod("a-5", part="jobs-asr"))
    (service,) = seen({"a-1": 6, "a-2": 7, "a-3": 2, "a-4": 9, "a-5": 5}, *pods).services
    assert overdrafts(service) == [("jobs-ocr", 4, NOW), ("web", 2, NOW)]
    assert service.undeclared == 4


def test_as_many_as_declared_is_nothing_undeclared() -> None:
    (service,) = seen({"a-1": 5}, pod("a-1", 5)).services
    assert (service.undeclared, service.overdrafts) == (0, ())


def test_a_name_that_postgresql_cuts_is_still_the_pods() -> None:
    name = "a" * 60 + "-web-5d5bc152-x7x9q"
    found = seen({name[:63]: 4}, pod(name))
    assert (found.services[0].live, found.unexplained) == (4, 0)


def test_at_one_server_a_pod_may_declare_to_several_budgets() -> None:
    both = (pod("a-1", 5), pod("a-1", 3, budget=TWIN))
    (here,) = seen({"a-1": 8}, *both, server=frozenset({MAIN, TWIN})).services
    assert (here.live, here.undeclared) == (8, 0)
    (alone,) = seen({"a-1": 8}, *both).services
    assert alone.undeclared == 3, "what it declares to another server is no excuse"


def test_pods_of_another_server_are_none_of_this_ones_business() -> None:
    assert seen({}, pod("b-1", budget=OTHER)).services == ()


def test_who_is_neither_a_pod_nor_the_operator_nor_a_line_is_a_stranger() -> None:
    backends = {"a-1": 1, OPERATOR_NAME: 1, "psql": 3, "": 2, "exporter": 2, "exporter-2": 1, "an-exporter": 1}
    found = seen(backends, pod("a-1"), clients=[{"name": "exporter", "connections": 3}])
    assert [(each.application_name, each.connections) for each in found.strangers] == [
        ("psql", 3),
        ("", 2),
        ("an-exporter", 1),
    ]
    assert found.unexplained == 6


def test_ten_strangers_are_named_the_largest_first_and_all_are_counted() -> None:
    found = seen({f"s{number:02}": number for number in range(1, 13)})
    assert [each.connections for each in found.strangers] == list(range(12, 2, -1))
    assert found.unexplained == sum(range(1, 13))


@pytest.mark.parametrize(
    ("now", "undeclared", "expected"),
    [
        pytest.param("2026-01-01T12:10:00Z", 0, 4, id="an idle pool is not a mended one"),
        pytest.param("2026-01-01T12:10:01Z", 0, 0, id="but that counts only as long as a reading"),
        pytest.param("2026-01-01T12:05:00Z", 2, 4, id="the worst of both"),
        pytest.param("2026-01-01T12:05:00Z", 6, 6, id="whichever that is"),
        pytest.param("2026-01-01T12:10:01Z", 2, 2, id="what is seen now counts from now"),
    ],
)
def test_what_was_opened_beyond_is_remembered_for_a_while(now: str, undeclared: int, expected: int) -> None:
    (service,) = seen({"a-1": 5 + undeclared}, pod("a-1"), now=now, **remembered(4, NOW)).services
    assert (service.undeclared, service.peak) == (expected, 12)
    assert overdrafts(service) == ([("web", expected, NOW if expected == 4 else now)] if expected else [])


def test_a_workload_without_pods_is_remembered_too() -> None:
    (service,) = seen(
        {"a-1": 5}, pod("a-1", part="jobs-ocr"), now="2026-01-01T12:05:00Z", **remembered(4, NOW)
    ).services
    assert overdrafts(service) == [("web", 4, NOW)]


@pytest.mark.parametrize(
    ("holder", "now", "kept"),
    [
        pytest.param(1, "2026-01-01T12:10:00Z", [("web", 4, NOW)], id="who holds a claim makes the same pods again"),
        pytest.param(1, "2026-01-01T12:10:01Z", None, id="but that counts only as long as a reading"),
        pytest.param(2, "2026-01-01T12:05:00Z", None, id="who holds none is gone"),
    ],
)
def test_a_service_without_pods_is_remembered_while_it_holds_a_claim(
    holder: int, now: str, kept: list[tuple[str, int, str]] | None
) -> None:
    found = seen({}, now=now, claims=(claim(holder, 15),), **remembered(4, NOW)).services
    assert [(each.live, each.peak, overdrafts(each)) for each in found] == ([(0, 12, kept)] if kept else [])


@pytest.mark.parametrize(("now", "written"), [("2026-01-01T12:02:30Z", NOW), ("2026-01-01T12:02:31Z", None)])
def test_what_goes_on_is_written_again_only_now_and_then(now: str, written: str | None) -> None:
    (service,) = seen({"a-1": 9}, pod("a-1"), now=now, **remembered(4, NOW)).services
    assert overdrafts(service) == [("web", 4, written or now)]


def test_the_peak_is_the_most_ever_seen() -> None:
    (service,) = seen({"a-1": 14}, pod("a-1", 20), **remembered(0, NOW)).services
    assert (service.live, service.peak) == (14, 14)
