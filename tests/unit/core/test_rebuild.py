from __future__ import annotations

from plimsoll.budget.ledger import Claim, Ledger
from plimsoll.observed import PodView
from plimsoll.rebuild import rebuilt
from plimsoll.units import Connections
from support.builders import a_service, uid


def pod(number: int, connections: int, *, service: str = "shop", budget: str = "demo/main") -> PodView:
    return PodView(
        namespace="demo",
        service=service,
        part="web",
        uid=uid(number),
        budget=budget,
        connections=Connections(connections),
    )


EMPTY = Ledger(usable=Connections(91))


def claims(ledger: Ledger) -> dict[str, int]:
    return {claim.name: claim.connections.count for claim in ledger.claims}


def test_what_was_granted_is_claimed_again_even_where_fewer_pods_are_there() -> None:
    service = a_service(status={"plan": {"granted": 15}})
    assert claims(rebuilt(EMPTY, budget="demo/main", services=[service], pods=[pod(1, 5)])) == {"shop": 15}


def test_pods_beyond_the_grant_count() -> None:
    service = a_service(status={"plan": {"granted": 15}})
    there = [pod(1, 10), pod(1, 10)]
    assert claims(rebuilt(EMPTY, budget="demo/main", services=[service], pods=there)) == {"shop": 20}


def test_a_service_that_nobody_has_looked_at_holds_nothing() -> None:
    assert claims(rebuilt(EMPTY, budget="demo/main", services=[a_service()], pods=[])) == {}


def test_pods_whose_service_is_gone_are_claimed_for_under_their_own_name() -> None:
    there = [pod(7, 5, service="gone"), pod(7, 5, service="gone")]
    assert claims(rebuilt(EMPTY, budget="demo/main", services=[], pods=there)) == {"gone": 10}


def test_claims_that_are_there_are_left_alone() -> None:
    known = EMPTY.with_claim(Claim(namespace="demo", name="shop", uid=uid(1), connections=Connections(30)))
    service = a_service(status={"plan": {"granted": 15}})
    assert claims(rebuilt(known, budget="demo/main", services=[service], pods=[pod(1, 5)])) == {"shop": 30}


def test_services_and_pods_of_other_budgets_are_none_of_its_business() -> None:
    service = a_service(budget="other", status={"plan": {"granted": 15}})
    assert claims(rebuilt(EMPTY, budget="demo/main", services=[service], pods=[pod(1, 5, budget="demo/other")])) == {}
