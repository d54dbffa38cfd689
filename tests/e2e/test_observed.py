"""Observed against declared: who opens more than was said is named, and pays for it until it is mended."""

from __future__ import annotations

import pytest
from support.kube import condition
from support.stage import BUDGET, pick, staged, without_node_port

GREEDY = """
import os, time, psycopg
held = [psycopg.connect(os.environ["DATABASE_URL"], application_name=os.environ["PGAPPNAME"]) for _ in range(4)]
while True:
    time.sleep(1)
"""
"""Declares one connection and opens four; it says who it is, as everything does that reads PGAPPNAME."""


def with_a_greedy_worker(manifests) -> None:
    without_node_port(manifests)
    budget, service = pick(manifests, "ConnectionBudget")["spec"], pick(manifests, "FastAPIService")["spec"]
    budget |= {"probeIntervalSeconds": 5, "staleAfterSeconds": 30}
    command = ["python3", "-c", GREEDY]
    service["jobs"] = [{"name": "greedy", "command": command, "replicas": 1, "connectionsPerProcess": 1}]
    service["web"] |= {"replicas": 1}


@pytest.fixture(scope="module")
def stage(kube, images):
    with staged(kube, "e2e-observed", images, change=with_a_greedy_worker) as stage:
        yield stage


def within(stage, status: str) -> str | None:
    """The message of WithinDeclared once it has this status."""
    conditions = stage.service()["status"]["conditions"]
    found = [each for each in conditions if each["type"] == "WithinDeclared" and each["status"] == status]
    return found[0]["message"] if found else None


def test_who_opens_more_than_it_declares_is_named_and_claimed_for_until_it_is_mended(stage, kube):
    words = "A pod of jobs-greedy had 3 connections open beyond what it declares"  # it opens one after the other
    stage.until("the greedy worker is named", lambda: words in (within(stage, "False") or ""), within=60)
    # web (1 + 1) × 5, jobs (1 + 1) × 1, migration 1; and 3 more for each of the two pods that the group may have
    stage.until("as much more is claimed", lambda: stage.claim() == 10 + 2 + 1 + 2 * 3, within=30)
    events = kube.list("events", namespace=stage.namespace)
    assert "MoreThanDeclared" in {each["reason"] for each in events if each["type"] == "Warning"}
    (usage,) = stage.budget()["status"]["usage"]
    assert [(each["part"], each["connections"]) for each in usage["overdrafts"]] == [("jobs-greedy", 3)]

    stage.edit({"jobs": []})
    stage.ready()
    stage.until("it is forgotten in the end", lambda: within(stage, "True"), within=120)
    stage.until("and the claim is what the spec asks for", lambda: stage.claim() == 11, within=30)


def test_who_connects_without_a_word_is_shown_until_a_line_of_the_budget_explains_it(stage, kube):
    def strangers() -> dict[str, int]:
        found = stage.budget()["status"].get("strangers", [])
        return {each["applicationName"]: each["connections"] for each in found}

    asleep = ("psql", "--username=captions", "-c", "SELECT pg_sleep(300)")
    guest = kube.start(
        "exec", f"--namespace={stage.namespace}", "postgres-0", "--", "env", "PGAPPNAME=nightly-backup", *asleep
    )
    try:
        stage.until("the guest is shown", lambda: strangers().get("nightly-backup") == 1, within=60)
        assert stage.budget()["status"]["unexplained"] >= 1
        free = stage.budget()["status"]["free"]
        line = {"clients": [{"name": "nightly", "connections": 7}]}
        kube.patch(BUDGET, "main", {"spec": line}, namespace=stage.namespace)
        stage.until("it is explained", lambda: "nightly-backup" not in strangers(), within=60)
        assert stage.budget()["status"]["free"] == free - 7
        assert "− 7 nightly" in condition(stage.budget())["message"]
    finally:
        guest.kill()
        guest.wait(10)
        guest.stdout.close()
