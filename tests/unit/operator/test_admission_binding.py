"""The admission policy is bound to the budgets of a namespace for as long as it has some, and only advises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog
from plimsoll.api.admission import POLICY
from plimsoll.errors import Forbidden
from plimsoll_operator.book import Book
from plimsoll_operator.budgets import Budgets
from plimsoll_operator.queue import Key, Kind
from plimsoll_operator.settings import Settings
from support.builders import NOW, budget_manifest
from support.memory_cluster import MemoryCluster
from support.virtual_loop import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll.api.meta import Manifest
    from support.memory_cluster import Call

BINDING = "ValidatingAdmissionPolicyBinding"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


class Operator:
    """The reconciler of budgets on a twin of the API server; no budget has a Secret, so no server is asked."""

    def __init__(self, *, admission: bool = True) -> None:
        self.cluster = MemoryCluster()
        book = Book(self.cluster, wake=lambda _: None, clock=lambda: NOW)
        self.budgets = Budgets(book, Settings(admission=admission))

    def sees(self, name: str, *, namespace: str = "demo") -> None:
        self.cluster.put(budget_manifest(name=name, namespace=namespace, usable=None))
        self.looks(name, namespace=namespace)

    def misses(self, name: str, *, namespace: str = "demo") -> None:
        self.cluster.remove("ConnectionBudget", namespace, name)
        self.looks(name, namespace=namespace)

    def looks(self, name: str, *, namespace: str = "demo") -> None:
        run(lambda _: self.budgets.reconcile(Key(Kind.BUDGET, namespace, name)))

    @property
    def bound(self) -> list[str]:
        return sorted(each["metadata"]["name"] for each in self.cluster.of_kind(BINDING))

    @property
    def writes(self) -> list[str]:
        return [str(call) for call in self.cluster.calls if call.writes and call.kind == BINDING]


def test_it_is_bound_once_for_each_namespace_with_budgets() -> None:
    operator = Operator()
    operator.sees("main")
    operator.sees("orders")
    operator.sees("main", namespace="platform")
    operator.looks("main")
    assert operator.bound == ["plimsoll-demo", "plimsoll-platform"]
    assert len(operator.writes) == 2


def test_it_stays_until_the_last_budget_of_the_namespace_is_gone_and_comes_back_with_the_next() -> None:
    operator = Operator()
    operator.sees("main")
    operator.sees("orders")
    operator.misses("main")
    assert operator.bound == ["plimsoll-demo"]
    operator.misses("orders")
    assert operator.bound == []
    operator.sees("main")
    assert operator.bound == ["plimsoll-demo"]


def test_without_the_charts_policy_nothing_is_bound() -> None:
    operator = Operator(admission=False)
    operator.sees("main")
    operator.misses("main")
    assert operator.writes == []
    assert Settings().admission is False


def test_a_refusal_keeps_no_budget_from_being_looked_at_and_is_tried_again() -> None:
    operator = Operator()

    async def gate(call: Call) -> None:
        if call.kind == BINDING:
            raise Forbidden("PATCH: 403: no policy yet")

    before, operator.cluster.gate = operator.cluster.gate, gate
    operator.sees("main")
    status: Manifest = operator.cluster.read("ConnectionBudget", "demo", "main")["status"]
    assert status["conditions"]
    assert operator.bound == []
    operator.cluster.gate = before
    operator.looks("main")
    assert operator.bound == ["plimsoll-demo"]


def test_it_finds_every_budget_of_its_namespace_and_lets_pass_where_there_is_none() -> None:
    operator = Operator()
    operator.sees("main", namespace="platform")
    assert operator.cluster.read(BINDING, "", "plimsoll-platform")["spec"] == {
        "policyName": POLICY,
        "paramRef": {"namespace": "platform", "selector": {}, "parameterNotFoundAction": "Allow"},
        "validationActions": ["Deny"],
    }
