"""``plimsoll plan --live`` and ``kubectl plimsoll explain``: what they say is what the cluster does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.kube import KubectlError
from support.stage import example

COMMANDS = Path(sys.executable).parent


@pytest.fixture
def plimsoll(kube):
    """Runs a command as a user does whose PATH has the plugin; the exit code and what it printed."""

    def run(*command: str) -> tuple[int, str]:
        path = f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**kube.environment, "PATH": path}
        )
        assert done.returncode < 2, done.stderr
        return done.returncode, done.stdout

    return run


def test_the_plan_of_the_cluster_is_the_ledger_of_the_cluster(demo, plimsoll):
    demo.ready()
    code, printed = plimsoll("plimsoll", "plan", "--live", "-o", "json")
    plan = json.loads(printed)
    budget = next(each for each in plan["budgets"] if each["namespace"] == "demo")
    status = demo.budget()["status"]
    # The plan is of the whole cluster, and other tests leave budgets in it: only demo's is held to fit.
    assert (code == 0) == plan["fits"]
    assert budget["free"] >= 0, printed
    assert all(row["state"] != "over" for row in budget["services"]), printed
    assert {name: budget[name] for name in ("margin", "usable", "claimed", "free")} == {
        name: status[name] for name in ("margin", "usable", "claimed", "free")
    }
    assert budget["maxConnections"] == status["server"]["maxConnections"]


def test_a_plan_that_is_over_is_refused_by_the_cluster_in_the_same_words(demo, kube, images, plimsoll, tmp_path):
    (manifest,) = example("over-budget.yaml", namespace="demo", images=images)
    file = tmp_path / "over.yaml"
    file.write_text(yaml.safe_dump(manifest))
    code, printed = plimsoll("plimsoll", "plan", str(file), "--live", "-o", "json")
    (service,) = json.loads(printed)["services"]
    assert (code, service["state"]) == (1, "over")
    with pytest.raises(KubectlError) as refused:
        kube.apply(manifest)
    sentences = service["message"].split(". ")
    assert len(sentences) > 2
    assert all(sentence in str(refused.value) for sentence in sentences[:2]), service["message"]


def test_kubectl_finds_the_plugin_and_it_explains_what_waits(demo, kube, images, plimsoll):
    (manifest,) = example("over-budget.yaml", namespace="demo", images=images)
    manifest["spec"]["web"]["replicas"] = 0
    kube.apply(manifest)
    try:
        demo.ready("reports")
        kube.run("scale", "fastapiservice", "reports", "--replicas=1", "--namespace=demo")
        told = demo.says("OverBudget", name="reports")
        code, printed = plimsoll("kubectl", "plimsoll", "explain", "demo/reports")
        flat = " ".join(printed.split())
        assert code == 0
        assert "OverBudget" in flat
        assert told.split(". ")[0] in flat
        assert plimsoll("kubectl", "plimsoll", "explain", "demo/captions")[0] == 0
    finally:
        kube.delete("fastapiservice", "reports", namespace="demo")
        demo.until("its claim has gone", lambda: demo.claim("reports") == 0, within=60)
