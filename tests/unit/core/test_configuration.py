"""A changed Secret or ConfigMap is a rollout: paced, only of what was seen, and telling nothing of what is in it."""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll.configuration import Pace, Reading, Sight, Source, grant, sources, versions
from support.builders import a_service, budget_manifest, group
from support.scene import Scene, kinds

DB, KEYS, SETTINGS = Source("Secret", "shop-db"), Source("Secret", "keys"), Source("ConfigMap", "settings")
ENV_FROM = [{"secretRef": {"name": "keys"}}, {"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "shop-db"}}]
LONG_AGO, JUST_NOW = "2026-01-01T11:59:00Z", "2026-01-01T11:59:01Z"


def seen(source: Source, version: int = 1, *, changed: str = LONG_AGO) -> Reading:
    meta = {"uid": f"u-{source.name}", "resourceVersion": str(version), "managedFields": [{"time": changed}, {}]}
    return Reading.of(source, meta)


def unseen(source: Source, sight: Sight = Sight.NOT_GRANTED) -> Reading:
    return Reading(source=source, sight=sight)


def running(scene: Scene, part: str = "web") -> str:
    """The versions that the pods belong to."""
    template = scene.child("Deployment", f"shop-{part}")["spec"]["template"]
    return str(template["metadata"]["annotations"].get("plimsoll.dev/config", ""))


def settled(*readings: Reading, **wishes: Any) -> Scene:
    scene = Scene(replicas=2, jobs=(group(),), envFrom=ENV_FROM, **wishes)
    scene.readings = readings
    scene.settle()
    return scene


def test_what_its_processes_are_started_with_is_every_secret_of_a_database_and_all_of_env_from_once() -> None:
    orders = {"name": "orders", "budgetRef": {"name": "main"}, "secretRef": {"name": "orders-db"}}
    service = a_service(additionalDatabases=[orders], envFrom=ENV_FROM)
    assert sources(service) == (DB, Source("Secret", "orders-db"), KEYS, SETTINGS)


def test_a_version_tells_nothing_of_what_is_in_it() -> None:
    meta = {"uid": "u", "resourceVersion": "7"}
    assert Reading.of(DB, meta | {"annotations": {"password": "hunter2"}}) == Reading.of(DB, meta)
    assert (
        len({Reading.of(DB, each).version for each in (meta, meta | {"uid": "v"}, meta | {"resourceVersion": "8"})})
        == 3
    )


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_change_of_any_of_them_replaces_the_pods_of_every_workload(changed: int) -> None:
    before = [seen(DB), seen(KEYS), seen(SETTINGS)]
    scene = settled(*before)
    assert running(scene).count("=") == 3
    assert not scene.step().step.apply
    scene.readings = tuple(seen(each.source, 2) if number == changed else each for number, each in enumerate(before))
    old = {each["metadata"]["name"] for each in scene.cluster.of_kind("Pod")}
    assert kinds(scene.step()) == ["Deployment", "Deployment"]
    assert (scene.ready, scene.reason) == ("False", "Progressing")
    scene.settle()
    assert scene.ready == "True"
    assert not old & {each["metadata"]["name"] for each in scene.cluster.of_kind("Pod")}
    assert running(scene) == running(scene, "jobs-ocr")


def test_a_change_is_left_to_settle_so_that_two_in_a_row_are_one_rollout() -> None:
    scene = settled(seen(DB), seen(KEYS))
    scene.readings = (seen(DB), seen(KEYS, 2, changed=JUST_NOW))
    assert not scene.step().step.apply
    scene.now = "2026-01-01T12:00:01Z"
    assert kinds(scene.step()) == ["Deployment", "Deployment"]


def test_a_new_service_waits_for_nothing() -> None:
    scene = settled(seen(DB, changed="2026-01-01T12:00:00Z"))
    assert running(scene) == str(seen(DB).source) + "=" + seen(DB).version


def test_a_first_grant_settles_too_before_it_replaces_pods_that_run() -> None:
    scene = settled(unseen(DB))
    scene.readings = (seen(DB, changed=JUST_NOW),)
    assert not scene.step().step.apply
    scene.now = "2026-01-01T12:00:01Z"
    assert kinds(scene.step()) == ["Deployment", "Deployment"]


def test_what_is_new_in_the_spec_comes_with_the_rollout_that_it_is_anyway() -> None:
    scene = Scene(replicas=2)
    scene.readings = (seen(DB),)
    scene.settle()
    scene.readings = (seen(DB), seen(KEYS, changed=JUST_NOW))
    scene.edit(envFrom=[{"secretRef": {"name": "keys"}}])
    scene.settle()
    assert running(scene).count("=") == 2
    scene.now = "2026-01-01T12:00:01Z"
    assert not scene.step().step.apply, "and not once more"


def test_it_settles_for_as_long_as_the_slowest_budget_takes_to_ask_its_server_twice() -> None:
    scene = Scene(replicas=2, budget=budget_manifest(usable=91, probeIntervalSeconds=120))
    scene.readings = (seen(DB),)
    scene.settle()
    scene.readings = (seen(DB, 2),)
    scene.now = "2026-01-01T12:02:59Z"
    assert not scene.step().step.apply
    said = scene.condition("ConfigTracked")
    assert (said["status"], said["reason"], said["message"]) == (
        "True",
        "ChangeWaits",
        (
            "The pods may run with an earlier Secret/shop-db: they are replaced after 2026-01-01T12:03:00Z, when"
            " nothing has been written there for 240 s."
        ),
    )
    scene.now = "2026-01-01T12:03:00Z"
    assert kinds(scene.step()) == ["Deployment"]
    assert scene.condition("ConfigTracked")["reason"] == "Tracked"


@pytest.mark.parametrize("reason", ["ServerUnreachable", "SecretUnreadable", "ServerFull"])
def test_while_the_server_cannot_be_asked_no_password_is_rotated(reason: str) -> None:
    scene = settled(seen(DB), unseen(KEYS))
    ready = {"type": "Ready", "status": "False", "reason": reason, "message": "password authentication"}
    good = {**ready, "status": "True", "reason": "Observed"}
    for each in (ready, good):
        each["lastTransitionTime"] = scene.now
    scene.cluster.edit_status("ConnectionBudget", "demo", "main", conditions=[ready])
    scene.readings = (seen(DB, 2), seen(KEYS))
    assert not scene.step().step.apply
    assert scene.condition("ConfigTracked")["message"] == (
        "The pods may run with an earlier Secret/shop-db, Secret/keys: they stay until the server of budget demo/main"
        " can be asked again; the change may be why it cannot."
    )
    scene.cluster.edit_status("ConnectionBudget", "demo", "main", conditions=[good])
    assert kinds(scene.step()) == ["Deployment", "Deployment"]


def test_a_change_that_waits_for_the_service_itself_says_so() -> None:
    scene = settled(seen(DB))
    scene.edit(pool=500)
    scene.readings = (seen(DB, 2),)
    scene.step()
    assert scene.reason == "OverBudget"
    assert scene.condition("ConfigTracked")["message"] == (
        "The pods may run with an earlier Secret/shop-db: they are replaced as soon as nothing else is in the way;"
        " Ready says what is."
    )


@pytest.mark.parametrize("sight", [Sight.NOT_GRANTED, Sight.MISSING])
def test_what_is_not_seen_any_more_replaces_no_pod(sight: Sight) -> None:
    scene = settled(seen(DB), seen(KEYS))
    before = running(scene)
    scene.readings = (unseen(DB, sight), seen(KEYS))
    assert not scene.step().step.apply
    assert running(scene) == before
    scene.readings = (seen(DB), seen(KEYS))
    assert not scene.step().step.apply


def test_without_a_grant_it_runs_all_the_same_and_one_condition_says_what_is_missing() -> None:
    scene = settled(unseen(DB), unseen(SETTINGS))
    assert (scene.ready, running(scene)) == ("True", "")
    said = scene.condition("ConfigTracked")
    assert (said["status"], said["reason"]) == ("False", "NotGranted")
    account = "--serviceaccount=plimsoll-system:plimsoll-operator"
    assert said["message"] == (
        "The operator may not read Secret/shop-db, ConfigMap/settings: a change of it reaches the pods only with the"
        " next rollout. Grant it, and they are replaced by themselves: kubectl -n demo create role plimsoll-shop-db"
        " --verb=get --resource=secrets --resource-name=shop-db && kubectl -n demo create rolebinding plimsoll-shop-db"
        f" --role=plimsoll-shop-db {account} && kubectl -n demo create role plimsoll-configmap-settings --verb=get"
        " --resource=configmaps --resource-name=settings && kubectl -n demo create rolebinding"
        f" plimsoll-configmap-settings --role=plimsoll-configmap-settings {account}"
    )


def test_a_missing_one_is_named_and_a_complete_set_is_told() -> None:
    scene = settled(seen(DB), unseen(KEYS, Sight.MISSING))
    said = scene.condition("ConfigTracked")
    assert (said["reason"], said["message"]) == (
        "NotFound",
        "There is no Secret/keys in namespace demo; pods cannot start without it. Create it.",
    )
    scene.readings = (seen(DB), seen(KEYS))
    scene.step()
    said = scene.condition("ConfigTracked")
    assert (said["status"], said["message"]) == (
        "True",
        "When one of these changes, the pods are replaced: Secret/shop-db, Secret/keys.",
    )


def test_a_reference_that_is_no_more_leaves_no_trace() -> None:
    before = versions([seen(DB), seen(KEYS)], live={}, made={}, pace=Pace(), now=LONG_AGO)
    live = {"metadata": {"annotations": {"plimsoll.dev/config": before}}}
    assert versions([seen(DB)], live=live, made={}, pace=Pace(), now=LONG_AGO) == before.split(",")[0]
    nonsense = {"metadata": {"annotations": {"plimsoll.dev/config": "nonsense"}}}
    assert versions([], live=nonsense, made={}, pace=Pace(), now=LONG_AGO) == ""


def test_the_grant_is_of_one_name_and_of_reading_alone() -> None:
    command = grant(KEYS, namespace="demo", account="system:serviceaccount:a:b")
    assert "--verb=get --resource=secrets --resource-name=keys" in command
    assert command.endswith("--serviceaccount=a:b")
