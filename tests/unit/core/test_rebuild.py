from __future__ import annotations

from typing import Any

from plimsoll.api.meta import BudgetKey
from plimsoll.budget.ledger import Claim, Ledger
from plimsoll.observed import MakerView, PodView
from plimsoll.rebuild import Traces, rebuilt
from plimsoll.units import Connections
from support.builders import a_service, uid

MAIN, OTHER = BudgetKey("demo", "main"), BudgetKey("demo", "other")
EMPTY = Ledger(capacity=Connections(91))


def pod(number: int, connections: int, *, service: str = "shop", budget: BudgetKey = MAIN) -> PodView:
    return PodView(
        namespace="demo",
        name=f"{service}-web",
        service=service,
        part="web",
        uid=uid(number),
        budget=budget,
        connections=Connections(connections),
    )


def maker(number: int, connections: int, *, service: str = "shop", part: str = "web") -> MakerView:
    return MakerView(
        namespace="demo",
        service=service,
        part=part,
        uid=uid(number),
        budget=MAIN,
        connections=Connections(connections),
    )


def claims(ledger: Ledger = EMPTY, **traces: Any) -> dict[str, int]:
    found = rebuilt(ledger, budget=MAIN, traces=Traces(**traces)).claims
    return {claim.name: claim.connections.count for claim in found}


def test_what_was_granted_is_claimed_again_even_where_fewer_pods_are_there() -> None:
    service = a_service(status={"plan": {"granted": 15}})
    assert claims(services=(service,), pods=(pod(1, 5),)) == {"shop": 15}


def test_pods_beyond_the_grant_count() -> None:
    service = a_service(status={"plan": {"granted": 15}})
    assert claims(services=(service,), pods=(pod(1, 10), pod(1, 10))) == {"shop": 20}


def test_without_a_grant_the_guard_tells_how_many_pods_may_come() -> None:
    traces: dict[str, Any] = {"services": (a_service(),), "pods": (pod(1, 5),), "guards": {(uid(1), "web"): 4}}
    assert claims(**traces, makers=(maker(1, 8),)) == {"shop": 4 * 8}
    assert claims(**traces) == {"shop": 5}, "nothing can make another one"


def test_a_service_that_nobody_has_looked_at_holds_nothing() -> None:
    assert claims(services=(a_service(),)) == {}


def test_pods_whose_service_is_gone_or_cannot_be_read_are_claimed_for_under_their_own_name() -> None:
    there = (pod(7, 5, service="gone"), pod(7, 5, service="gone"))
    assert claims(pods=there) == {"gone": 10}
    assert claims(pods=there, makers=(maker(7, 5, service="gone"),), guards={(uid(7), "web"): 3}) == {"gone": 15}


def test_what_can_make_pods_of_a_service_that_is_gone_is_claimed_for_though_none_is_there() -> None:
    left = (maker(7, 5, service="gone"),)
    assert claims(makers=left, guards={(uid(7), "web"): 3}) == {"gone": 15}


def test_a_job_between_two_tries_is_claimed_for_once() -> None:
    trying = (maker(1, 3, part="migrate"),)
    assert claims(services=(a_service(),), makers=trying) == {"shop": 3}


def test_claims_that_are_there_are_left_alone() -> None:
    known = EMPTY.with_claim(Claim(namespace="demo", name="shop", uid=uid(1), connections=Connections(30)))
    service = a_service(status={"plan": {"granted": 15}})
    assert claims(known, services=(service,), pods=(pod(1, 5),)) == {"shop": 30}


def test_services_and_pods_of_other_budgets_are_none_of_its_business() -> None:
    service = a_service(budget="other", status={"plan": {"granted": 15}})
    assert claims(services=(service,), pods=(pod(1, 5, budget=OTHER),)) == {}


def test_the_dearest_pod_is_remembered_for_the_margin() -> None:
    found = rebuilt(EMPTY, budget=MAIN, traces=Traces(pods=(pod(1, 5), pod(1, 9)))).claims
    assert [claim.per_pod.count for claim in found] == [9]
