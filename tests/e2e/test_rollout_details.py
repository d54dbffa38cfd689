"""Around a rollout: a failed migration shows its log, a node drain proceeds pod by pod, a changed Secret rolls pods."""

from __future__ import annotations

import pytest
from support.stage import staged
from support.witness import PodWitness

# One stream: between two, the container runtime keeps no order.
FAILING = "import sys; print('step 1 of 2'); print('no column price', flush=True); sys.exit(3)"
SECONDS_TO_ROTATE = 60 + 60 + 120
"""Left to settle, seen at the next look, and rolled out."""


@pytest.fixture(scope="module")
def stage(kube, images):
    with staged(kube, "e2e-details", images) as stage:
        yield stage


def uids(stage, part: str = "web") -> set[str]:
    """The pods of a workload."""
    pods = stage.children("pods").values()
    return {pod["metadata"]["uid"] for pod in pods if pod["metadata"]["labels"]["app.kubernetes.io/component"] == part}


def test_a_migration_that_fails_shows_its_log_and_what_ran_runs_on_until_a_mended_one_moves_on(stage):
    before, good = uids(stage), stage.service()["spec"]["migrations"]["command"]
    stage.edit({"migrations": {"command": ["python3", "-c", FAILING]}, "web": {"startupSeconds": 90}})
    try:
        message = stage.says("MigrationFailed", "exit code 3", within=240)  # four tries, with back-off in between
        print(f"\n{message}")
        assert message.endswith("Its last lines:\nstep 1 of 2\nno column price")
        assert stage.service()["status"]["migration"]["log"].endswith("no column price")
        assert uids(stage) == before
    finally:  # the tests below have this service too
        stage.edit({"migrations": {"command": good}})
    stage.ready()
    stage.until("the old pods have gone", lambda: not uids(stage) & before)


def test_a_node_is_drained_pod_by_pod_and_not_for_ever(stage, kube):
    budgets = stage.children("poddisruptionbudgets")
    assert {name: each["spec"]["maxUnavailable"] for name, each in budgets.items()} == {
        "captions-web": 1,
        "captions-jobs-ocr": 1,
    }
    stage.until("the disruption budgets are in force", lambda: _allowed(stage) == {1}, within=60)
    node = next(
        pod["spec"]["nodeName"]
        for pod in stage.children("pods").values()
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "web"
    )
    with PodWitness(kube, stage.namespace) as pods:
        try:
            kube.run(
                "drain",
                node,
                "--ignore-daemonsets",
                "--delete-emptydir-data",
                f"--pod-selector=plimsoll.dev/service=captions,plimsoll.dev/uid={stage.service()['metadata']['uid']}",
                "--timeout=150s",
                seconds=180,
            )
            stage.ready()
            assert not [pod for pod in stage.children("pods").values() if pod["spec"].get("nodeName") == node]
        finally:
            kube.run("uncordon", node)
    assert pods.most("web") <= 2 + 1


def _allowed(stage) -> set[int]:
    budgets = stage.children("poddisruptionbudgets").values()
    return {each.get("status", {}).get("disruptionsAllowed", 0) for each in budgets}


def test_a_secret_that_changes_rolls_the_pods_of_every_workload(stage, kube):
    web, jobs = uids(stage), uids(stage, "jobs-ocr")
    change = {"metadata": {"annotations": {"e2e/rotated": "once"}}}  # any write counts: its content is not looked at
    kube.patch("secret", "captions-db", change, namespace=stage.namespace)
    stage.until("the web pods are others", lambda: not uids(stage) & web, within=SECONDS_TO_ROTATE)
    stage.until("the job workers are others", lambda: not uids(stage, "jobs-ocr") & jobs, within=120)
    stage.ready()
