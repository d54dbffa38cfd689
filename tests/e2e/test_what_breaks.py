"""What breaks around a running service: named in one clear message; what runs is not touched; it mends itself.

The budget asks its server every 5 seconds here, so that a test need not wait for half a minute. It has a Secret of its
own: a change of the service's would replace its pods, as it should (``test_rollout_details``).
"""

from __future__ import annotations

import base64
import copy
import shlex

import pytest
from support.kube import KubectlError, condition
from support.stage import BUDGET, SERVICE, pick, staged, without_node_port

PASSWORD, WRONG_PASSWORD = "quickstart", "open-sesame"


BUDGETS_SECRET = "budget-db"


def asked_often(manifests) -> None:
    without_node_port(manifests)
    spec = pick(manifests, "ConnectionBudget")["spec"]
    spec["probeIntervalSeconds"] = 5
    spec["secretRef"]["name"] = BUDGETS_SECRET
    originals = [pick(manifests, "Secret", name="captions-db"), pick(manifests, "Role"), pick(manifests, "RoleBinding")]
    copies = copy.deepcopy(originals)
    for each in copies:
        each["metadata"]["name"] = BUDGETS_SECRET if each["kind"] == "Secret" else f"plimsoll-{BUDGETS_SECRET}"
    _, role, binding = copies
    role["rules"][0]["resourceNames"] = [BUDGETS_SECRET]
    binding["roleRef"]["name"] = role["metadata"]["name"]
    manifests[:] = [*manifests[:1], *copies, *manifests[1:]]  # the first is the namespace


@pytest.fixture(scope="module")
def stage(kube, images):
    with staged(kube, "e2e-breaks", images, change=asked_often) as stage:
        yield stage


@pytest.fixture
def nothing_touched(stage):
    """The pods are the same after the test as before, and none was restarted."""

    def pods():
        return {
            name: (pod["metadata"]["uid"], [each["restartCount"] for each in pod["status"]["containerStatuses"]])
            for name, pod in stage.children("pods").items()
        }

    before = pods()
    yield
    assert pods() == before


def stored(stage) -> int:
    """Status of a request that needs the database."""
    with stage.http() as client:
        return client.get("/reports/count").status_code


def said(stage, reason: str, words: str = "") -> str:
    """The budget's message once it has this reason and holds these words; it must not hold a password."""
    message = stage.says(reason, words, name="main", kind=BUDGET, within=45)
    print(f"\n{reason}: {message}")
    everything = str(stage.budget()) + str(stage.service())
    assert PASSWORD not in message
    assert WRONG_PASSWORD not in everything
    return message


def set_uri(stage, uri: str) -> None:
    data = {"data": {"DATABASE_URL": base64.b64encode(uri.encode()).decode()}}
    stage.kube.patch("secret", BUDGETS_SECRET, data, namespace=stage.namespace)


def test_a_wrong_password_is_named_without_repeating_it(stage, nothing_touched):
    secret = stage.kube.get("secret", BUDGETS_SECRET, namespace=stage.namespace)
    right = base64.b64decode(secret["data"]["DATABASE_URL"]).decode()
    set_uri(stage, right.replace(f":{PASSWORD}@", f":{WRONG_PASSWORD}@"))
    said(stage, "ServerUnreachable", "password authentication failed")
    assert stored(stage) == 200
    set_uri(stage, right.replace("postgresql://", "https://"))
    said(stage, "ServerUnreachable", "not a PostgreSQL URI")
    set_uri(stage, right)
    said(stage, "Observed")
    stage.ready()


def test_a_secret_that_does_not_exist_is_asked_for_by_name(stage, nothing_touched):
    def refer_to(name: str) -> None:
        stage.kube.patch(BUDGET, "main", {"spec": {"secretRef": {"name": name}}}, namespace=stage.namespace)

    def grant(name: str) -> None:
        role = ("--verb=get", "--resource=secrets", f"--resource-name={name}")
        stage.kube.run("create", "role", "may-look", *role, f"--namespace={stage.namespace}")
        account = "--serviceaccount=plimsoll-system:plimsoll-operator"
        stage.kube.run(
            "create", "rolebinding", "may-look", "--role=may-look", account, f"--namespace={stage.namespace}"
        )

    grant("nowhere")
    refer_to("nowhere")
    said(stage, "SecretUnreadable", "There is no Secret nowhere in namespace e2e-breaks; create it")
    assert condition(stage.budget(), "Stalled")["status"] == "True"
    assert stored(stage) == 200
    refer_to(BUDGETS_SECRET)
    said(stage, "Observed")


def test_a_secret_that_was_not_granted_comes_with_the_command_that_grants_it(stage, nothing_touched):
    where = f"--namespace={stage.namespace}"
    stage.kube.run("delete", "rolebinding,role", f"plimsoll-{BUDGETS_SECRET}", where)
    message = said(stage, "SecretUnreadable", "Grant it this one: kubectl")
    assert stored(stage) == 200
    _, _, commands = message.partition("Grant it this one: ")
    for command in commands.split(" && "):
        program, *arguments = shlex.split(command)
        assert program == "kubectl"
        stage.kube.run(*arguments)
    said(stage, "Observed")
    assert condition(stage.service())["status"] == "True"


def test_a_database_that_is_away_stops_growth_only_and_is_used_again_when_it_is_back(stage, kube, nothing_touched):
    labels = {"app.kubernetes.io/name": "postgres"}
    service = ("service", "postgres")
    kube.patch(*service, {"spec": {"selector": {**labels, "away": "yes"}}}, namespace=stage.namespace)
    stage.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'captions-%'")
    assert "still counts" in said(stage, "ServerUnreachable", "The server cannot be asked")
    assert stored(stage) == 503
    assert stage.claim() == 20
    kube.patch(*service, {"spec": {"selector": {**labels, "away": None}}}, namespace=stage.namespace)
    said(stage, "Observed")
    stage.until("the service reaches its database again", lambda: stored(stage) == 200, within=30)
    stage.ready()


def test_a_budget_that_is_deleted_stops_growth_only_and_made_anew_it_knows_who_holds_what(stage, kube, nothing_touched):
    budget = stage.budget()
    kube.delete(BUDGET, "main", namespace=stage.namespace)
    kube.run("scale", SERVICE, "captions", "--replicas=3", f"--namespace={stage.namespace}")
    stage.says("BudgetNotFound", f"There is no ConnectionBudget {stage.namespace}/main; create it")
    assert stored(stage) == 200
    kube.run("scale", SERVICE, "captions", "--replicas=2", f"--namespace={stage.namespace}")
    meta = {"name": "main", "namespace": stage.namespace}
    kube.apply(
        {"apiVersion": budget["apiVersion"], "kind": "ConnectionBudget", "metadata": meta, "spec": budget["spec"]}
    )
    said(stage, "Observed")
    stage.until("the claim is found again", lambda: stage.claim() == 20, within=60)
    stage.ready()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"web": {"replicas": -1}}, "spec.web.replicas: Invalid value: -1"),
        ({"web": {"replicas": 10**7}}, "spec.web.replicas: Invalid value: 10000000"),
        ({"database": {"pool": {"size": 10**18}}}, "spec.database.pool.size: Invalid value"),
        ({"database": {"pool": {"size": 2, "minSize": 3}}}, "minSize is more than size"),
        ({"rollout": {"maxSurge": 0}}, "maxSurge and maxUnavailable are both 0"),
        ({"env": [{"name": "DB_POOL_SIZE", "value": "99"}]}, "carries the contract with the operator"),
        (
            {"web": {"replicas": 1000}, "database": {"pool": {"size": 10000, "maxOverflow": 10000}}},
            "Needs 20020005 conn",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence_and_nothing_is_lost(stage, nothing_touched, change, words):
    before = stage.service()["spec"]
    with pytest.raises(KubectlError) as refused:
        stage.edit(change)
    print(f"\n{refused.value}")
    assert words in str(refused.value)
    assert stage.service()["spec"] == before
