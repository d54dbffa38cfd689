"""What people and crashes do to a running service: it holds its last good shape, and ends where its spec says."""

from __future__ import annotations

import pytest
from support.kube import KubectlError, condition
from support.stage import SERVICE, staged
from support.story import OPERATOR_NAMESPACE
from support.witness import PodWitness

OPERATOR = "app.kubernetes.io/name=plimsoll-operator"


@pytest.fixture(scope="module")
def stage(kube, images):
    with staged(kube, "e2e-edits", images) as stage:
        yield stage


@pytest.fixture(autouse=True)
def good_shape(stage):
    """Whatever a test before has left behind, this one begins with the quickstart's shape."""
    stage.edit({"database": {"pool": {"size": 5}}, "web": {"replicas": 2}})
    stage.ready()


def served(stage) -> bool:
    """Whether the service answers from its database."""
    with stage.http() as client:
        return client.get("/reports/count").status_code == 200


def test_an_edit_that_does_not_fit_is_refused_by_the_api_server_with_the_sum(stage):
    before = stage.service()["metadata"]["generation"]
    with pytest.raises(KubectlError) as refused:
        stage.edit({"database": {"pool": {"size": 40}}})
    print(f"\n{refused.value}")
    # (2 + 1) × 40 + (1 + 1) × 2 + 1 = 125, and one of its pods is the margin
    assert "Needs 125 connections: web (2 + 1 surge) pods × 1 process × 40 pool = 120" in str(refused.value)
    assert f"Budget {stage.namespace}/main has 51 free for it: 91 − 40 margin." in str(refused.value)
    assert stage.service()["metadata"]["generation"] == before


def test_what_does_not_fit_and_passes_the_api_server_keeps_what_runs_and_says_so(stage, kube):
    """`kubectl scale` writes a subresource of which the policy sees nothing but the number."""
    pods = set(stage.children("pods"))
    generations = {name: each["metadata"]["generation"] for name, each in stage.children("deployments").items()}
    kube.run("scale", SERVICE, "captions", "--replicas=40", f"--namespace={stage.namespace}")
    message = stage.says("OverBudget")
    print(f"\n{message}")
    # (40 + 1) × 5 + (1 + 1) × 2 + 1 = 210
    assert "Needs 210 connections: web (40 + 1 surge) pods × 1 process × 5 pool = 205" in message
    assert "has 86 free for it: 91 − 5 margin" in message
    assert "What would fit: database.pool.size 2 with maxOverflow 0." in message
    assert set(stage.children("pods")) == pods
    assert {name: each["metadata"]["generation"] for name, each in stage.children("deployments").items()} == generations
    assert stage.claim() == 20, "what the last good state holds, its migration included"
    assert stage.service()["status"]["readyPods"] == "3/41"
    assert served(stage)

    kube.run("scale", SERVICE, "captions", "--replicas=2", f"--namespace={stage.namespace}")
    stage.ready()
    assert set(stage.children("pods")) == pods, "taking the edit back rolled something out"


@pytest.mark.parametrize(
    "change",
    [("scale", "deployment/captions-web", "--replicas=6"), ("delete", "deployment", "captions-web", "--wait=false")],
)
def test_a_child_that_somebody_changed_is_mended_and_the_guard_holds_meanwhile(stage, kube, change):
    with PodWitness(kube, stage.namespace) as pods:
        before = pods.names("web")
        kube.run(*change, f"--namespace={stage.namespace}")

        def mended():
            web = stage.children("deployments").get("captions-web", {})
            there = [pod for pod in pods.now().values() if pod.part == "web"]
            return web.get("spec", {}).get("replicas") == web.get("status", {}).get("readyReplicas") == len(there) == 2

        stage.until("something has happened", lambda: pods.names("web") > before, within=60)
        stage.until("there are two web pods again", mended, within=120)
        stage.ready()
    assert pods.most("web") <= 3
    assert pods.most_connections() <= stage.claim() == 20


def test_a_quota_that_somebody_raised_is_lowered_again(stage, kube):
    def guards() -> dict[str, str]:
        return {name: each["spec"]["hard"]["pods"] for name, each in stage.children("resourcequotas").items()}

    before = guards()
    assert sorted(before.values()) == ["2", "3"]
    for name in before:
        kube.patch("resourcequota", name, {"spec": {"hard": {"pods": "50"}}}, namespace=stage.namespace)
    stage.until("the quotas allow 2 and 3 pods again", lambda: guards() == before, within=30)


def test_an_operator_killed_in_the_middle_of_a_rollout_ends_it_within_the_claim(stage, kube):
    with PodWitness(kube, stage.namespace) as pods:
        old = {pod.name for pod in pods.now().values() if pod.part == "web"}
        stage.edit({"database": {"pool": {"size": 10}}})
        stage.until("the first new pod is there", lambda: pods.names("web") > old, within=60, every=0.05)
        kube.run(
            "delete",
            "pods",
            "--force",
            "--grace-period=0",
            f"--namespace={OPERATOR_NAMESPACE}",
            f"--selector={OPERATOR}",
        )
        assert condition(stage.service())["status"] != "True"
        stage.ready()
        assert stage.until(
            "the claim is what the spec asks for", lambda: stage.claim() == 3 * 10 + 2 * 2 + 1, within=60
        )
        stage.edit({"database": {"pool": {"size": 5}}})
        stage.until(
            "the shrinking rollout is under way", lambda: len(pods.names("web")) > len(old) + 2, within=60, every=0.05
        )
        kube.run(
            "delete",
            "pods",
            "--force",
            "--grace-period=0",
            f"--namespace={OPERATOR_NAMESPACE}",
            f"--selector={OPERATOR}",
        )
        claims = []

        def shrunk() -> bool:
            before = sum(pod.connections for pod in pods.now().values())
            claims.append((stage.claim(), min(before, sum(pod.connections for pod in pods.now().values()))))
            return claims[-1][0] == 20

        stage.until("the claim has followed", shrunk, within=120)
        stage.ready()
    assert all(claim >= there for claim, there in claims), claims
    assert pods.most("web") <= 3
    assert pods.most_connections() <= 35
    assert served(stage)


def test_a_deleted_service_takes_its_children_its_priority_classes_and_in_the_end_its_claim_along(stage, kube):
    uid = stage.service()["metadata"]["uid"]
    of_it = f"plimsoll.dev/uid={uid}"
    assert len(kube.list("priorityclasses", labels=of_it)) == 2
    kube.run("delete", SERVICE, "captions", f"--namespace={stage.namespace}", "--wait=false")
    everything = "deployments,services,resourcequotas,jobs,pods"
    stage.until(
        "its children have gone", lambda: not kube.list(everything, namespace=stage.namespace, labels=of_it), within=90
    )
    stage.until("its claim has gone", lambda: stage.claim() == 0, within=30)
    stage.until("its PriorityClasses have gone", lambda: not kube.list("priorityclasses", labels=of_it), within=30)
    stage.until("nothing is claimed", lambda: stage.budget()["status"]["claimed"] == 0, within=30)
