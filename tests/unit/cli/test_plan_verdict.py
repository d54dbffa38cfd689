"""A plan says what the operator would decide: the ledger's own answer, service by service, in the operator's words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll.accounts import ledger_of
from plimsoll.budget.capacity import ServerFacts
from plimsoll.budget.demand import Overlap, demand
from plimsoll.budget.ledger import Claim, Want
from plimsoll.explain import Case, over_budget
from plimsoll_cli.model import State
from plimsoll_cli.plan import EPOCH, plan, with_facts
from support.builders import a_budget, a_service, budget_manifest, group, service_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from plimsoll.api.fastapiservice import FastAPIService

WISHES = st.fixed_dictionaries(
    {
        "replicas": st.integers(0, 4),
        "workers": st.integers(1, 4),
        "pool": st.integers(1, 9),
        "overflow": st.integers(0, 9),
        "surge": st.integers(0, 2),
        "unavailable": st.just(1),
        "migration": st.sampled_from((None, 1, 5)),
        "jobs": st.sampled_from(((), (group("ocr"),))),
    }
)
SERVICES = st.lists(WISHES, max_size=5).map(
    lambda wishes: [a_service(f"s{number}", number=number, **wish) for number, wish in enumerate(wishes)]
)


def facts(most: int) -> ServerFacts:
    return ServerFacts(
        version="", max_connections=most, superuser_reserved=3, reserved=0, role_limit=None, database_limit=None
    )


@settings(deadline=None)  # a busy machine is no defect
@given(
    services=SERVICES, most=st.integers(1, 200), margin=st.none() | st.integers(0, 20), overlap=st.sampled_from(Overlap)
)
def test_the_verdict_is_the_ledgers_answer_to_each_service_in_turn(
    services: list[FastAPIService], most: int, margin: int | None, overlap: Overlap
) -> None:
    budget = with_facts(a_budget(usable=None, margin=margin), facts(most))
    ledger, admitted = ledger_of(budget, now=EPOCH), []
    for service in services:
        meta, wanted = service.metadata, demand(service, budget.key, overlap=overlap)
        want = Want(uid=meta.uid, connections=wanted.connections, per_pod=wanted.per_pod)
        grant = ledger.grant(want)
        admitted.append(grant.admitted)
        claim = Claim(
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            connections=grant.hold,
            per_pod=want.per_pod if grant.admitted else want.connections.minus(want.connections),
        )
        ledger = ledger.with_claim(claim)
    result = plan(budgets=[budget], services=services, overlap=overlap)
    assert [each.state is State.FITS for each in result.services] == admitted
    assert [row.is_refused for row in result.budgets[0].rows] == [not each for each in admitted]
    assert result.is_over == (not all(admitted))
    assert result.budgets[0].claimed == ledger.claimed.count
    assert result.budgets[0].free == ledger.free.count
    if overlap is Overlap.GUARDED:
        for service, said in zip(services, result.services, strict=True):
            wanted = demand(service, budget.key)
            want = Want(uid=service.metadata.uid, connections=wanted.connections, per_pod=wanted.per_pod)
            sentence = over_budget(Case(service=service, key=budget.key, ledger=ledger), want=want)
            assert said.message == ("" if said.state is State.FITS else sentence)


def test_what_is_said_of_a_refused_service_is_true_when_all_others_are_in() -> None:
    big, small = a_service("big", number=1, replicas=40), a_service("small", number=2, replicas=1)
    budget = with_facts(a_budget(usable=None), facts(100))
    for order in ([big, small], [small, big]):
        said = {each.service.name: each for each in plan(budgets=[budget], services=order).services}
        assert said["small"].state is State.FITS
        assert "81 free for it: 91 − 10 held by others. Held: 10 by demo/small." in said["big"].message


def test_the_files_decide_who_comes_first(run: Callable[..., Result], write: Callable[..., Path]) -> None:
    budget = write(budget_manifest(usable=None), name="budget.yaml")
    one = write(service_manifest("one", replicas=10), name="one.yaml")
    two = write(service_manifest("two", replicas=10), name="two.yaml")
    for first, second in ((one, two), (two, one)):
        told = json.loads(run("plan", budget, first, second, "--max-connections", 100, "-o", "json").stdout)
        assert [(each["name"], each["state"]) for each in told["services"]] == [
            (first.stem, "fits"),
            (second.stem, "over"),
        ]


@pytest.mark.parametrize(("most", "pool", "code"), [(100, 12, 0), (40, 10, 0), (20, 12, 1)])
def test_shrinkpool_shows_the_pool_that_it_would_get(
    run: Callable[..., Result], write: Callable[..., Path], most: int, pool: int, code: int
) -> None:
    file = write(budget_manifest(usable=None), service_manifest(pool=12, whenOver="ShrinkPool"))
    result = run("plan", file, "--max-connections", most, "-o", "json")
    assert result.exit_code == code
    (service,) = json.loads(result.stdout)["services"]
    assert (service["poolSize"], service["poolSizeAsked"]) == (pool, 12)
    text = run("plan", file, "--max-connections", most).stdout
    assert ("fits with a pool of 10 instead of 12" in text) == (pool == 10)
    assert ("Not even a pool of 6, its smallest, fits." in text) == (code == 1)


def test_a_service_of_two_servers_is_refused_by_one_and_holds_nothing_in_the_other(
    run: Callable[..., Result], write: Callable[..., Path]
) -> None:
    further = {"name": "orders", "budgetRef": {"name": "orders"}, "secretRef": {"name": "orders"}, "poolSize": 9}
    file = write(
        budget_manifest(usable=None),
        budget_manifest(usable=None, name="orders"),
        service_manifest(additionalDatabases=[further]),
    )
    result = run("plan", file, "--max-connections", 100, "--max-connections", "demo/orders=20", "-o", "json")
    assert result.exit_code == 1
    main, orders = json.loads(result.stdout)["budgets"]
    assert (main["claimed"], main["services"][0]["state"]) == (0, "waits")
    assert (orders["claimed"], orders["services"][0]["state"], orders["maxConnections"]) == (0, "over", 20)
    assert run("plan", file, "--max-connections", 100).exit_code == 0


@pytest.mark.parametrize(("labels", "code"), [({"team": "shop"}, 0), ({"team": "other"}, 1), ({}, 1)])
def test_a_budget_that_selects_namespaces_goes_by_the_labels_in_the_input(
    run: Callable[..., Result], write: Callable[..., Path], labels: dict[str, str], code: int
) -> None:
    allowed = {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}}
    file = write(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}},
        budget_manifest(usable=None, allowedNamespaces=allowed),
        service_manifest(namespace="shop", budget_namespace="demo"),
    )
    result = run("plan", file, "--max-connections", 100)
    assert result.exit_code == code
    assert ("does not allow services of namespace shop" in result.stdout.replace("\n", " ")) == bool(code)


def test_a_list_as_kubectl_prints_it_and_json_and_standard_input_are_read(run: Callable[..., Result]) -> None:
    both = {"apiVersion": "v1", "kind": "List", "items": [budget_manifest(), service_manifest()]}
    result = run("plan", "-", "--max-connections", 100, "-o", "json", stdin=json.dumps(both, indent="\t"))
    assert result.exit_code == 0
    (budget,) = json.loads(result.stdout)["budgets"]
    assert (budget["claimed"], budget["usable"]) == (15, 91)


def test_a_folder_is_its_manifests_and_nothing_else(run: Callable[..., Result], write: Callable[..., Path]) -> None:
    write("{{ not: yaml", name="notes.txt")
    write(service_manifest(), name="a.json")
    file = write(budget_manifest(usable=None), name="z.yml")
    assert run("plan", file.parent, "--max-connections", 100).exit_code == 0


def test_a_budget_that_has_nothing_to_give_is_a_warning_with_the_numbers_and_no_advice_to_its_services(
    run: Callable[..., Result], write: Callable[..., Path]
) -> None:
    file = write(budget_manifest(usable=None, reserve=120), service_manifest())
    result = run("plan", file, "--max-connections", "100", "-o", "json")
    assert result.exit_code == 1
    assert result.stderr == (
        "Warning: ConnectionBudget demo/main has nothing to give, since what is held back takes all of the server's"
        " limit: 100 max_connections − 3 superuser_reserved_connections = 97, − 120 reserve − 1 operator; lower"
        " reserve, clients or the server's reserved connections, or raise max_connections.\n"
    )
    (said,) = json.loads(result.stdout)["services"]
    assert said["message"].endswith(
        "Budget demo/main has nothing to give: lower what it holds back, or raise the server's limit."
    )
    assert "replicas" not in said["message"].partition("Budget demo/main has 0")[2]
    result = run("plan", file, "--max-connections", "1000", "-o", "json")
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("main", "orders", "end"),
    [
        (20, 20, "It does not fit into demo/orders either."),
        (20, 200, "What would fit: database.pool.size 3 with maxOverflow 0."),
        (200, 20, "What would fit: additionalDatabases[orders].poolSize 3 with maxOverflow 0."),
    ],
)
def test_what_would_fit_fits_into_every_budget_of_the_service(
    run: Callable[..., Result], write: Callable[..., Path], main: int, orders: int, end: str
) -> None:
    other = {"name": "orders", "budgetRef": {"name": "orders"}, "secretRef": {"name": "o"}, "poolSize": 9}
    manifest = service_manifest(additionalDatabases=[other])
    manifest["spec"]["database"]["pool"] = {"size": 9}
    file = write(*(budget_manifest(usable=None, name=each, margin=0) for each in ("main", "orders")), manifest)
    options = ("--max-connections", f"demo/main={main}", "--max-connections", f"demo/orders={orders}")
    result = run("plan", file, *options, "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["services"][0]["message"].endswith(end)
