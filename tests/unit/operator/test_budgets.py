"""The reconciler of budgets: secrets and their sentences, failed readings, a lost ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from plimsoll.errors import Forbidden, ProbeFailed
from plimsoll_operator.queue import Key, Kind
from support.builders import budget_manifest
from support.operated import BUDGET, PASSWORD, SHOP, facts, refusing, secret

if TYPE_CHECKING:
    from support.operated import Operated

TWIN = Key(Kind.BUDGET, "demo", "twin")


def test_the_server_is_asked_with_the_secrets_uri_and_again_after_the_interval(operated: Operated) -> None:
    operated.cluster.put(secret(url=f" postgresql://owner:{PASSWORD}@db/app\n"))
    operated.cluster.put(
        budget_manifest(usable=None, probeIntervalSeconds=20, secretRef={"name": "shop-db", "key": "url"})
    )
    assert operated.look(BUDGET).requeue_after == 20.0
    assert operated.asked == [f"postgresql://owner:{PASSWORD}@db/app"]
    assert operated.budget_condition()["status"] == "True"


def test_the_same_answer_again_is_not_written_again(operated: Operated) -> None:
    operated.budget()
    operated.writes()
    operated.look(BUDGET)
    assert operated.writes() == []


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        pytest.param(
            None, "There is no Secret shop-db in namespace demo; create it, or correct secretRef.name.", id="no secret"
        ),
        pytest.param(
            secret(other="x"), "Secret shop-db has no key DATABASE_URL; add it, or correct secretRef.key.", id="no key"
        ),
        pytest.param(
            secret() | {"data": {"DATABASE_URL": "%%%"}},
            "Key DATABASE_URL of Secret shop-db is not text.",
            id="not base64",
        ),
        pytest.param(
            secret() | {"data": {"DATABASE_URL": "/w=="}},
            "Key DATABASE_URL of Secret shop-db is not text.",
            id="not text",
        ),
        pytest.param(
            {key: value for key, value in secret().items() if key != "data"},
            "Secret shop-db has no key DATABASE_URL; add it, or correct secretRef.key.",
            id="empty",
        ),
    ],
)
def test_a_secret_that_says_nothing_is_told_in_one_sentence(
    operated: Operated, manifest: dict[str, Any] | None, said: str
) -> None:
    if manifest is not None:
        operated.cluster.put(manifest)
    operated.cluster.put(budget_manifest(usable=None))
    operated.look(BUDGET)
    ready = operated.budget_condition()
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "SecretUnreadable", said)
    assert operated.budget_condition("Stalled")["status"] == "True"
    assert operated.asked == []


def test_a_secret_that_may_not_be_read_comes_with_the_command_that_grants_it(operated: Operated) -> None:
    operated.cluster.put(budget_manifest(usable=None))
    with refusing(operated.cluster, "get Secret", Forbidden("403")):
        operated.look(BUDGET)
    assert operated.budget_condition()["message"] == (
        "The operator may not read Secret shop-db. Grant it this one:"
        " kubectl -n demo create role plimsoll-shop-db --verb=get --resource=secrets --resource-name=shop-db"
        " && kubectl -n demo create rolebinding plimsoll-shop-db --role=plimsoll-shop-db"
        " --serviceaccount=plimsoll-system:plimsoll-operator"
    )


def test_a_server_that_is_away_is_asked_again_soon_and_later_more_rarely(operated: Operated) -> None:
    operated.cluster.put(secret())
    operated.cluster.put(budget_manifest(usable=None))
    operated.answer = ProbeFailed("The server cannot be asked: refused.")
    waits = [operated.look(BUDGET).requeue_after for _ in range(12)]
    assert waits[0] == 1.0
    assert waits == sorted(waits, key=lambda each: each or 0)
    assert waits[-1] == 30.0
    assert operated.budget_condition()["reason"] == "ServerUnreachable"
    operated.answer = facts()
    assert operated.look(BUDGET).requeue_after == 30.0
    operated.answer = ProbeFailed("refused")
    assert operated.look(BUDGET).requeue_after == 1.0


def test_a_full_server_keeps_its_last_reading(operated: Operated) -> None:
    operated.budget()
    operated.answer = ProbeFailed("The server has no connection left.", full=True)
    operated.look(BUDGET)
    status = operated.cluster.read("ConnectionBudget", "demo", "main")["status"]
    assert (status["usable"], operated.budget_condition()["reason"]) == (91, "ServerFull")


def test_no_password_is_in_its_status_whatever_the_server_says(operated: Operated) -> None:
    operated.budget()
    operated.answer = ProbeFailed("The server cannot be asked: password authentication failed.")
    operated.look(BUDGET)
    assert PASSWORD not in json.dumps(operated.cluster.read("ConnectionBudget", "demo", "main"))


def test_a_budget_that_is_gone_is_no_error(operated: Operated) -> None:
    assert operated.look(BUDGET).requeue_after is None


def test_one_that_goes_while_its_server_is_asked_is_tried_again_and_then_gone(operated: Operated) -> None:
    operated.budget()
    probe = operated._probe

    async def slow(uri: str, *, connect_timeout_seconds: int) -> Any:
        operated.cluster.remove("ConnectionBudget", "demo", "main")
        return await probe(uri, connect_timeout_seconds=connect_timeout_seconds)

    operated._probe = slow  # type: ignore[method-assign]
    assert operated.look(BUDGET).requeue_after == 0
    assert operated.look(BUDGET).requeue_after is None


def test_a_budget_that_lost_its_status_finds_its_claims_before_anybody_may_grow(operated: Operated) -> None:
    operated.budget()
    operated.service(replicas=2, pool=5)
    operated.settle()
    operated.cluster.remove("ConnectionBudget", "demo", "main")
    operated.cluster.put(budget_manifest(usable=None))
    late = operated.service("late", replicas=7, pool=10)
    operated.look(late)
    assert operated.condition("late")["reason"] == "WaitingForBudget"
    operated.look(BUDGET)
    assert operated.claims() == {"shop": 15}
    operated.look(late)
    assert operated.condition("late")["reason"] == "OverBudget"
    operated.settle(SHOP, late)
    assert operated.claims() == {"shop": 15}
    assert operated.condition()["status"] == "True"


def shared(operated: Operated) -> Key:
    """Two budgets of one server, each with a service that runs."""
    operated.answer = facts(50, system_identifier="7", started="2026-01-01T00:00:00Z")
    operated.budget()
    operated.cluster.put(budget_manifest(name="twin", usable=None))
    operated.look(TWIN)
    operated.look(BUDGET)
    operated.service(replicas=2, pool=5)
    late = operated.service("late", replicas=1, pool=5, budget="twin")
    operated.settle(SHOP, late)
    assert (operated.claims(), operated.claims("twin")) == ({"shop": 15}, {"late": 10})
    return late


def beside(operated: Operated) -> list[str]:
    return list(operated.cluster.read("ConnectionBudget", "demo", "twin")["status"].get("sharedWith", []))


@pytest.mark.parametrize("anew", [False, True])
def test_what_a_deleted_budget_held_is_not_free_in_its_twin_while_something_connects(
    operated: Operated, *, anew: bool
) -> None:
    late = shared(operated)
    operated.cluster.remove("ConnectionBudget", "demo", "main")
    operated.look(BUDGET)
    if anew:
        operated.look(TWIN)
        operated.cluster.put(budget_manifest(usable=None))
    operated.edit("late", replicas=7, pool=5, budget="twin")
    for _ in range(3):
        operated.look(SHOP)
        operated.look(late)
        operated.look(TWIN)
        assert (beside(operated), operated.claims("twin")) == (["demo/main"], {"late": 10})
    assert operated.condition("late")["reason"] == "WaitingForBudget"
    status = operated.cluster.read("ConnectionBudget", "demo", "twin")["status"]
    assert {each["applicationName"] for each in status["strangers"]} == {"psql"}
    if anew:
        operated.look(BUDGET)
        operated.look(late)
        assert (operated.claims(), operated.condition("late")["reason"]) == ({"shop": 15}, "OverBudget")


def test_it_is_free_when_the_last_that_connected_is_gone(operated: Operated) -> None:
    late = shared(operated)
    operated.cluster.remove("ConnectionBudget", "demo", "main")
    operated.look(BUDGET)
    operated.edit("late", replicas=7, pool=5, budget="twin")
    operated.look(late)
    operated.cluster.remove("FastAPIService", "demo", "shop")
    operated.woken.clear()
    while any(each.fair for each in operated.world.moves()):
        assert beside(operated) == ["demo/main"]
        next(each for each in operated.world.moves() if each.fair).do()
        operated.look(TWIN)
    assert (beside(operated), late in operated.woken) == ([], True)
    operated.settle(late)
    assert operated.claims("twin") == {"late": 40}


def test_a_deleted_budget_that_nothing_connects_to_is_forgotten_at_once(operated: Operated) -> None:
    late = shared(operated)
    operated.cluster.remove("FastAPIService", "demo", "shop")
    operated.settle(SHOP)
    assert beside(operated) == ["demo/main"]
    operated.cluster.remove("ConnectionBudget", "demo", "main")
    operated.edit("late", replicas=7, pool=5, budget="twin")
    operated.look(late)
    assert operated.condition("late")["reason"] == "WaitingForBudget"
    operated.look(BUDGET)
    assert (beside(operated), late in operated.woken) == ([], True)
    operated.settle(late)
    assert operated.claims("twin") == {"late": 40}


def test_a_claim_written_while_the_server_is_asked_is_not_lost(operated: Operated) -> None:
    operated.budget()
    operated.service()
    inner = operated._probe

    async def meanwhile(uri: str, *, connect_timeout_seconds: int) -> Any:
        await operated.reconciler.reconcile(SHOP)
        return await inner(uri, connect_timeout_seconds=connect_timeout_seconds)

    operated._probe = meanwhile  # type: ignore[method-assign]
    operated.answer = facts(200)
    operated.look(BUDGET)
    status = operated.cluster.read("ConnectionBudget", "demo", "main")["status"]
    assert (operated.claims(), status["usable"]) == ({"shop": 15}, 191)
