"""``--live`` and ``explain``: the cluster of the current kubeconfig, read and never written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from plimsoll.api.crd import documents
from plimsoll.api.meta import BudgetKey
from plimsoll.conditions import Reason
from plimsoll.errors import Forbidden, Unavailable
from plimsoll_cli import facts
from plimsoll_operator import probe as probe_module
from support.builders import budget_manifest, claim, service_manifest, uid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from plimsoll.api.meta import Manifest
    from plimsoll.budget.capacity import ServerFacts
    from support.memory_cluster import Call, MemoryCluster

FUTURE = "2999-01-01T00:00:00Z"
SERVER = {"maxConnections": 100, "superuserReservedConnections": 3, "observedTime": FUTURE}


def live_budget(*claims: Manifest, name: str = "main", **spec: Any) -> Manifest:
    """A budget that the operator has read: 91 before the margin."""
    status = {"server": SERVER, "capacity": 91, "arithmetic": "as read", "usable": 86, "claimed": 0, "free": 86}
    return budget_manifest(name=name, observed=FUTURE, claims=claims, status=status, **spec)


def condition(type_: str, status: str, reason: str, message: str) -> Manifest:
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": FUTURE}


def pod(name: str, *, connections: str = "demo/main=5", number: int = 1, **meta: Any) -> Manifest:
    labels = {"plimsoll.dev/service": "shop", "plimsoll.dev/uid": uid(number), "app.kubernetes.io/component": "web"}
    annotations = {"plimsoll.dev/connections": connections}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "demo", "labels": labels, "annotations": annotations, **meta},
        "status": {"phase": "Running"},
    }


def planned(result: Result) -> tuple[dict[str, Any], dict[str, Any]]:
    told = json.loads(result.stdout)
    return {each["name"]: each for each in told["budgets"]}, {each["name"]: each for each in told["services"]}


# ---- plan --live


def test_a_new_service_gets_what_existing_claims_leave(
    run: Callable[..., Result], write: Callable[..., Path], cluster: MemoryCluster
) -> None:
    cluster.put(live_budget(claim(7, 60, "old")))
    new = write(service_manifest("new", number=0, replicas=4))
    result = run("plan", new, "--live", "-o", "json")
    budgets, services = planned(result)
    assert (result.exit_code, services["new"]["state"]) == (0, "fits")
    assert [(each["name"], each["state"], each["holds"]) for each in budgets["main"]["services"]] == [
        ("old", "held", 60),
        ("new", "fits", 25),
    ]
    cluster.edit_status("ConnectionBudget", "demo", "main", claims=[claim(7, 70, "old")])
    result = run("plan", new, "--live")
    assert result.exit_code == 1
    assert "Held: 70 by demo/old." in result.stdout.replace("\n", " ")
    assert not [call for call in cluster.calls if call.writes]


def test_a_service_that_changes_keeps_its_place_and_one_that_shrinks_makes_room_for_one_before_it(
    run: Callable[..., Result], write: Callable[..., Path], cluster: MemoryCluster
) -> None:
    cluster.put(live_budget(claim(1, 40, "shop"), claim(2, 40, "other")))
    cluster.put(service_manifest("shop", number=1, replicas=7))
    cluster.put(service_manifest("other", number=2, replicas=7))
    grows, shrinks = service_manifest("shop", number=9, replicas=10), service_manifest("other", number=9, replicas=1)
    budgets, services = planned(run("plan", write(grows), "--live", "-o", "json"))
    assert services["shop"]["state"] == "over"
    (other, shop) = budgets["main"]["services"]
    assert (shop["before"], shop["holds"], shop["connections"], other["state"]) == (40, 40, 55, "held")
    result = run("plan", write(grows, shrinks), "--live")
    assert result.exit_code == 0
    assert "40 → 55" in result.stdout
    assert "40 → 10" in result.stdout


def test_a_budget_in_the_files_is_what_it_would_be_with_the_claims_that_it_has(
    run: Callable[..., Result], write: Callable[..., Path], cluster: MemoryCluster
) -> None:
    cluster.put(live_budget(claim(1, 40, "shop")))
    cluster.put(live_budget(claim(3, 90, "alien"), name="unrelated", reserve=90))
    smaller = budget_manifest(usable=None, maxConnections=50)
    result = run("plan", write(smaller), "--live", "-o", "json")
    budgets, _ = planned(result)
    assert (result.exit_code, set(budgets), budgets["main"]["usable"]) == (0, {"main"}, 44)
    result = run("plan", write(budget_manifest(usable=None, maxConnections=40)), "--live")
    assert result.exit_code == 1
    assert "More is claimed than the server gives: demo/main." in result.stdout


@pytest.mark.parametrize("output", ["table", "json", "markdown", "svg", "html"])
def test_claims_in_another_budget_of_the_same_server_and_claims_over_the_line_are_in_every_output(
    run: Callable[..., Result], cluster: MemoryCluster, output: str
) -> None:
    server = {**SERVER, "systemIdentifier": "7", "startedTime": "2026-01-01T00:00:00Z"}
    for name, count in (("main", 60), ("other", 37)):
        cluster.put(live_budget(claim(count, count, "shop"), name=name))
        cluster.edit_status("ConnectionBudget", "demo", name, server=server)
    result = run("plan", "--live", "-o", output)
    assert result.exit_code == 1
    assert "37" in result.stdout
    assert "demo/other" in result.stdout
    if output in {"svg", "html"}:
        assert "97 claimed: 6 over the line" in result.stdout
        assert "31 other budgets" in result.stdout
    elif output != "json":
        assert "More is claimed than the server gives: demo/main, demo/other." in result.stdout.replace("\n", " ")


def test_a_new_budget_was_never_read_so_nothing_fits_it(
    run: Callable[..., Result], write: Callable[..., Path], cluster: MemoryCluster
) -> None:
    result = run("plan", write(budget_manifest(usable=None), service_manifest()), "--live")
    assert result.exit_code == 1
    assert "has no valid reading of its server: it was never read." in result.stdout.replace("\n", " ")


def test_without_files_it_is_the_cluster_as_it_is(run: Callable[..., Result], cluster: MemoryCluster) -> None:
    cluster.put(live_budget(claim(1, 15, "shop")))
    cluster.put(service_manifest())
    budgets, services = planned(run("plan", "--live", "-o", "json"))
    assert (budgets["main"]["claimed"], services["shop"]["state"]) == (15, "fits")


def test_a_budget_that_is_neither_in_the_files_nor_in_the_cluster_is_named(
    run: Callable[..., Result], write: Callable[..., Path], cluster: MemoryCluster
) -> None:
    result = run("plan", write(service_manifest()), "--live")
    assert result.exit_code == 2
    assert "names budget demo/main, which is not in the input or the cluster; add its manifest." in result.stderr


# ---- --dsn


def test_a_server_that_is_asked_answers_for_every_budget_of_that_uri_once(
    run: Callable[..., Result], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def answer(uri: str, *, connect_timeout_seconds: int) -> ServerFacts:
        asked.append((uri, connect_timeout_seconds > 0))
        return facts.facts_of([key], numbers=["50"])[key]

    key = BudgetKey("demo", "main")
    monkeypatch.setattr(probe_module, "probe", answer)
    file = write(budget_manifest(usable=None), budget_manifest(usable=None, name="orders"))
    budgets, _ = planned(run("plan", file, "--dsn", "postgresql://u:pw@h/d", "-o", "json"))
    assert {each["usable"] for each in budgets.values()} == {41}
    monkeypatch.setenv("PLIMSOLL_DSN", "postgresql://u:pw@h/d")
    assert run("plan", file).exit_code == 0
    assert asked == [("postgresql://u:pw@h/d", True)] * 2


def test_a_server_that_does_not_answer_is_one_sentence_without_the_password(
    run: Callable[..., Result], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(budget_manifest(usable=None))
    result = run("plan", file, "--dsn", "postgresql://u:hunter2@127.0.0.1:1/d")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: The server cannot be asked: ")
    result = run("plan", file, "--dsn", "postgresql://u:hunter/2@127.0.0.1:1/d")
    assert "The user or password in the URI of --dsn holds a character" in result.stderr
    monkeypatch.setenv("PLIMSOLL_DSN", "postgresql://u:hunter/2@127.0.0.1:1/d")
    result = run("plan", file)
    assert "The user or password in the URI of PLIMSOLL_DSN holds a character" in result.stderr
    assert "hunter" not in result.stderr


def test_the_environment_names_several_servers_and_is_named_in_what_is_said_of_it(
    run: Callable[..., Result], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(uri: str, *, connect_timeout_seconds: int) -> ServerFacts:
        return facts.facts_of([key], numbers=[uri[-2:]])[key]

    key = BudgetKey("demo", "main")
    monkeypatch.setattr(probe_module, "probe", answer)
    file = write(budget_manifest(usable=None), budget_manifest(usable=None, name="orders"))
    monkeypatch.setenv("PLIMSOLL_DSN", "demo/main=postgresql://u:pw@h/50\n demo/orders=postgres://u:pw@h/60 ")
    budgets, _ = planned(run("plan", file, "-o", "json"))
    assert {name: each["usable"] for name, each in budgets.items()} == {"main": 41, "orders": 51}
    monkeypatch.setenv("PLIMSOLL_DSN", "hunter2@h")
    assert run("plan", file).stderr == (
        "Error: PLIMSOLL_DSN: not a PostgreSQL URI; write postgresql://user:password@host:5432/database.\n"
    )


def test_one_budget_by_hand_and_the_others_asked(
    run: Callable[..., Result], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(uri: str, *, connect_timeout_seconds: int) -> ServerFacts:
        return facts.facts_of([key], numbers=["50"])[key]

    key = BudgetKey("demo", "main")
    monkeypatch.setattr(probe_module, "probe", answer)
    file = write(budget_manifest(usable=None), budget_manifest(usable=None, name="orders"))
    for uri, number in (("", "demo/orders="), ("demo/main=", "")):
        options = ("--dsn", f"{uri}postgresql://u:pw@h/d", "--max-connections", f"{number}60")
        budgets, _ = planned(run("plan", file, *options, "-o", "json"))
        assert {name: each["usable"] for name, each in budgets.items()} == {"main": 41, "orders": 51}


# ---- explain


def test_a_held_service_is_explained_by_its_conditions_its_budget_its_pods_and_the_next_command(
    run: Callable[..., Result], cluster: MemoryCluster
) -> None:
    said = "Needs 240 connections, and so on. What would fit: database.pool.size 5 with maxOverflow 0."
    cluster.put(live_budget(claim(7, 60, "other"), claim(1, 15, "shop")))
    cluster.edit_status(
        "ConnectionBudget",
        "demo",
        "main",
        claimed=75,
        free=11,
        conditions=[condition("Ready", "True", "Observed", "86 usable = as read.")],
    )
    status = {
        "observedGeneration": 1,
        "plan": {"connections": 240, "granted": 15, "arithmetic": "web (1 + 1 surge) pods"},
        "conditions": [
            condition("Ready", "False", "OverBudget", said),
            condition("BudgetGranted", "False", "OverBudget", said),
        ],
    }
    cluster.put(service_manifest(status=status))
    cluster.put(pod("shop-web-a"))
    cluster.put(pod("shop-web-b", deletionTimestamp="2020-01-01T00:00:00Z", deletionGracePeriodSeconds=30))
    cluster.put(pod("shop-web-c", number=8))
    result = run("explain", "demo/shop")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    for words in (
        "demo/shop is not ready: OverBudget.",
        said,
        "It asks for 240 and holds 15: web (1 + 1 surge) pods",
        "86 usable, 75 claimed, 11 free",
        "15 held by it",
        "60 held by demo/other",
        "shop-web-a web Running 5 to demo/main",
        "overdue since 2020-01-01T00:00:05Z",
        "of an earlier object of this name",
        "kubectl -n demo edit fastapiservice shop",
    ):
        assert words in text, words
    assert text.count(said) == 1
    assert result.stdout == run("explain", "shop", "-n", "demo").stdout
    assert not [call for call in cluster.calls if call.writes]


NEXT = {
    Reason.AVAILABLE: "Nothing: it is as its spec says.",
    Reason.OVER_BUDGET: "kubectl -n demo edit fastapiservice shop",
    Reason.WAITING_FOR_BUDGET: "kubectl -n demo describe connectionbudget main",
    Reason.BUDGET_NOT_FOUND: "kubectl get connectionbudgets -A",
    Reason.MIGRATION_FAILED: "kubectl -n demo logs -l plimsoll.dev/service=shop,app.kubernetes.io/component=migration",
    Reason.PROGRESSING: "kubectl -n demo get pods -l plimsoll.dev/service=shop --watch",
}


@pytest.mark.parametrize(("reason", "command"), NEXT.items())
def test_the_next_command_follows_from_the_reason(
    run: Callable[..., Result], cluster: MemoryCluster, reason: Reason, command: str
) -> None:
    ready = condition("Ready", str(reason is Reason.AVAILABLE), reason.value, "so")
    cluster.put(service_manifest(status={"observedGeneration": 1, "conditions": [ready]}))
    assert command in " ".join(run("explain", "demo/shop").stdout.split())


def test_a_pod_in_trouble_and_an_operator_that_sleeps_come_before_waiting(
    run: Callable[..., Result], cluster: MemoryCluster
) -> None:
    ready = condition("Ready", "False", "Progressing", "so")
    cluster.put(service_manifest(status={"observedGeneration": 1, "conditions": [ready]}))
    waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, "restartCount": 2}
    cluster.put({**pod("shop-web-a"), "status": {"phase": "Running", "containerStatuses": [waiting]}})
    text = run("explain", "demo/shop").stdout
    assert "it crashes: restarted 2 times" in text
    assert "kubectl -n demo logs shop-web-a --previous" in text
    cluster.edit_spec("FastAPIService", "demo", "shop", image="shop:2")
    text = run("explain", "demo/shop").stdout
    assert "its last edit was not looked at yet" in text
    assert "app.kubernetes.io/name=plimsoll-operator" in text


def test_a_budget_that_may_not_be_read_is_said_and_the_rest_is_explained(
    run: Callable[..., Result], cluster: MemoryCluster
) -> None:
    async def gate(call: Call) -> None:
        if call.kind == "ConnectionBudget":
            raise Forbidden("no")

    cluster.put(service_manifest())
    cluster.gate = gate
    result = run("explain", "demo/shop")
    assert result.exit_code == 0
    assert "It is not there, or you may not read it." in result.stdout


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Forbidden("GET /apis: 403: no"), "Error: The cluster does not let you read this: GET /apis: 403: no"),
        (Unavailable("The API server cannot be reached: x."), "Error: The API server cannot be reached: x."),
        (None, "Error: There is no FastAPIService demo/shop; kubectl get fastapiservices -A lists those there are."),
    ],
)
def test_not_found_forbidden_and_no_cluster_are_one_sentence_and_2(
    run: Callable[..., Result], cluster: MemoryCluster, error: Exception | None, sentence: str
) -> None:
    async def gate(_: Call) -> None:
        if error is not None:
            raise error

    cluster.gate = gate
    result = run("explain", "demo/shop")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{sentence}\n")


def test_without_a_kubeconfig_it_says_that_there_is_no_cluster(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    result = run("explain", "demo/shop")
    assert result.exit_code == 2
    assert "Error: There is no cluster to talk to" in result.stderr


# ---- crds, version


def test_crds_prints_what_the_chart_installs(run: Callable[..., Result]) -> None:
    result = run("crds")
    assert (result.exit_code, result.stdout) == (0, documents())
    assert [each["kind"] for each in yaml.safe_load_all(result.stdout)] == ["CustomResourceDefinition"] * 2


def test_version_names_the_api_that_is_read(run: Callable[..., Result]) -> None:
    assert run("version").stdout.endswith(", plimsoll.dev/v1alpha1\n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "is not there; set KUBECONFIG."),
        ("", "is empty, or not of a kubeconfig's form."),
        ("hunter2", "is empty, or not of a kubeconfig's form."),
        ("users:\n- [hunter2: {\n", "is not YAML: correct line 3."),
        ("{}", "cannot be used: "),
        ("\0", "is not YAML"),
        (
            (
                "{current-context: a, contexts: [{name: a, context: {cluster: a}}],"
                " clusters: [{name: a, cluster: {server: 'https://h', certificate-authority: /no/ca.crt}}]}"
            ),
            "cannot be used: ",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_one_sentence_with_its_name_and_2(
    run: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    content: str | None,
    sentence: str,
) -> None:
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(file))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    for command in (("plan", "--live"), ("explain", "demo/shop")):
        result = run(*command)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"Error: There is no cluster to talk to: the kubeconfig {file} ")
        assert sentence in result.stderr
        assert "hunter2" not in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not caplog.records
