from __future__ import annotations

from typing import Any

from plimsoll.api.budgetstatus import OverdraftStatus, UsageStatus
from plimsoll.api.meta import BudgetKey
from plimsoll.budget.ledger import Claim, Ledger
from plimsoll.observed import MakerView, PodView
from plimsoll.release import orphans, released, strays
from plimsoll.units import Connections

BUDGET = BudgetKey("demo", "main")


def pod(uid: str, connections: int = 5, *, budget: BudgetKey = BUDGET) -> PodView:
    return PodView(
        namespace="demo",
        name=f"shop-{uid}",
        service="shop",
        part="web",
        uid=uid,
        budget=budget,
        connections=Connections(connections),
    )


def maker(uid: str, *, budget: BudgetKey = BUDGET) -> MakerView:
    return MakerView(namespace="demo", service="shop", part="web", uid=uid, budget=budget, connections=Connections(5))


def ledger(**claims: int) -> Ledger:
    return Ledger(
        capacity=Connections(91),
        claims=tuple(
            Claim(namespace="demo", name="shop", uid=uid, connections=Connections(connections))
            for uid, connections in claims.items()
        ),
    )


def after(book: Ledger, **given: Any) -> dict[str, int]:
    usual: dict[str, Any] = {"budget": BUDGET, "namespace": "demo", "name": "shop", "current_uid": None, "pods": ()}
    return {claim.uid: claim.connections.count for claim in released(book, **usual | given).claims}


def test_the_claim_of_a_service_that_is_gone_follows_its_pods_and_ends_with_the_last() -> None:
    assert after(ledger(old=15), pods=(pod("old"), pod("old"))) == {"old": 10}
    assert after(ledger(old=15)) == {}


def test_it_never_grows_again() -> None:
    assert after(ledger(old=5), pods=(pod("old"), pod("old"))) == {"old": 5}


def test_pods_that_open_more_than_they_declare_are_followed_with_that() -> None:
    beyond = OverdraftStatus(part="web", connections=3, seen_time="2026-01-01T12:00:00Z")
    usage = (UsageStatus(namespace="demo", name="shop", uid="old", overdrafts=(beyond,)),)
    assert after(ledger(old=24), pods=(pod("old"), pod("old")), usage=usage) == {"old": 16}


def test_as_long_as_something_can_make_pods_it_stays_as_it_is() -> None:
    assert after(ledger(old=15), makers=(maker("old"),)) == {"old": 15}


def test_makers_and_pods_at_another_server_do_not_hold_it() -> None:
    elsewhere = BudgetKey("demo", "other")
    book = ledger(old=15)
    assert after(book, makers=(maker("old", budget=elsewhere),), pods=(pod("old", budget=elsewhere),)) == {}


def test_the_claim_of_the_service_that_claims_now_is_left_alone() -> None:
    assert after(ledger(old=15, new=15), current_uid="new") == {"new": 15}


def test_claims_of_other_names_and_namespaces_are_left_alone() -> None:
    assert after(ledger(old=15), name="other") == {"old": 15}
    assert after(ledger(old=15), namespace="elsewhere") == {"old": 15}


def test_a_guard_without_its_service_goes_only_when_no_pod_and_no_maker_is_left() -> None:
    def guard(uid: str) -> dict[str, Any]:
        return {"metadata": {"name": f"guard-{uid}", "labels": {"plimsoll.dev/uid": uid}}}

    guards = strays(map(guard, ("current", "with-pods", "with-maker", "done")), current_uid="current")
    assert [each["metadata"]["name"] for each in guards] == ["guard-with-pods", "guard-with-maker", "guard-done"]
    gone = orphans(guards, pods=(pod("with-pods"),), makers=(maker("with-maker"),))
    assert [each["metadata"]["name"] for each in gone] == ["guard-done"]
