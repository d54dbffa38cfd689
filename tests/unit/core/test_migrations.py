"""Migrations: one for each image and never two at once; one that fails holds the last good state, and shows why.

What mends it needs no hand in the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.builders import group
from support.scene import Scene, kinds

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

LOG = 'captions.migrate: rolled back: \x1b[31mcolumn "price" does not exist\x1b[0m'


def going(scene: Scene) -> Manifest:
    """The Job that is not done."""
    (job,) = [each for each in scene.cluster.of_kind("Job") if not each.get("status", {}).get("conditions")]
    return job


def fail_a_try(scene: Scene, *, said: str = LOG) -> None:
    """One pod of the Job fails, as the kubelet would say it."""
    scene.make("makes a pod")
    pod = next(
        each
        for each in scene.cluster.of_kind("Pod")
        if each["spec"].get("restartPolicy") == "Never" and each["status"]["phase"] == "Running"
    )
    ended = {"exitCode": 1, "message": said, "finishedAt": scene.now}
    scene.cluster.edit_status(
        "Pod", "demo", pod["metadata"]["name"], phase="Failed", containerStatuses=[{"state": {"terminated": ended}}]
    )


def failed(**wishes: object) -> Scene:
    """A service that runs, and the migration of its next image has failed for good."""
    scene = Scene(replicas=2, migration=1, jobs=(group(),), **wishes)
    scene.settle()
    scene.edit(image="shop:2")
    scene.step()
    for _ in range(4):
        fail_a_try(scene)
    scene.make("has failed")
    scene.step()
    return scene


def images(scene: Scene) -> set[str]:
    pods = [each for each in scene.cluster.of_kind("Pod") if each["spec"].get("restartPolicy") != "Never"]
    assert len(pods) == 3
    return {each["spec"]["containers"][0]["image"] for each in pods}


def test_a_failed_migration_shows_its_last_lines_and_what_ran_runs_on() -> None:
    scene = failed()
    name = next(each["metadata"]["name"] for each in scene.cluster.of_kind("Job") if scene.status["migration"]["job"])
    assert scene.reason == "MigrationFailed"
    assert scene.message.endswith(
        'It ended with exit code 1. Its last lines:\ncaptions.migrate: rolled back: column "price" does not exist'
    )
    assert scene.condition("MigrationsApplied")["message"] == scene.message
    assert [scene.condition(each)["status"] for each in ("Ready", "Reconciling", "Stalled")] == [
        "False",
        "False",
        "True",
    ]
    assert scene.status["migration"]["log"].startswith("exit code 1. Its last lines:\n")
    assert scene.status["migration"]["job"] in scene.names("Job")
    assert name in scene.names("Job")
    scene.settle()
    assert images(scene) == {"shop:1"}


def test_a_pod_of_the_last_good_image_that_is_lost_comes_back_while_a_migration_has_failed() -> None:
    scene = failed()
    scene.make("is evicted")
    scene.settle()
    assert images(scene) == {"shop:1"}


def test_the_log_stays_when_the_pods_are_gone() -> None:
    scene = failed()
    before = scene.message
    for pod in list(scene.cluster.of_kind("Pod")):
        if pod["status"]["phase"] == "Failed":
            scene.cluster.remove("Pod", "demo", pod["metadata"]["name"])
    scene.step()
    assert scene.message == before


def test_a_try_that_fails_is_told_while_others_follow() -> None:
    scene = Scene(migration=1)
    scene.step()
    fail_a_try(scene)
    scene.step()
    assert (scene.reason, scene.condition("Stalled")["status"]) == ("Migrating", "False")
    assert "It is tried again; the last try ended with exit code 1. Its last lines:\ncaptions.migrate" in scene.message
    scene.settle()
    assert scene.ready == "True"
    assert "migration" not in scene.status


def test_a_migration_whose_image_cannot_be_pulled_says_so_before_it_has_failed() -> None:
    scene = Scene(migration=1)
    scene.step()
    scene.make("makes a pod")
    (pod,) = scene.cluster.of_kind("Pod")
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}, "image": "shop:1"}
    scene.cluster.edit_status("Pod", "demo", pod["metadata"]["name"], containerStatuses=[waiting])
    scene.step()
    assert (scene.reason, scene.condition("Stalled")["status"]) == ("ImageCannotBePulled", "True")
    assert "Its pod does not start: image shop:1 cannot be pulled" in scene.message


def test_a_fixed_image_moves_on_by_itself() -> None:
    scene = failed()
    scene.edit(image="shop:3")
    decision = scene.step()
    assert kinds(decision) == ["Job"]
    assert scene.reason == "Migrating"
    scene.settle()
    assert (scene.ready, images(scene)) == ("True", {"shop:3"})
    assert all(each["status"]["conditions"][0]["type"] == "Complete" for each in scene.cluster.of_kind("Job"))


def test_going_back_from_a_failed_migration_is_done_at_once() -> None:
    scene = failed()
    scene.edit(image="shop:1")
    assert not scene.step().step.apply
    assert (scene.ready, images(scene)) == ("True", {"shop:1"})


def test_going_back_to_an_image_that_ran_asks_for_no_migration_of_it_again() -> None:
    scene = Scene(migration=1)
    scene.settle()
    scene.edit(image="shop:2")
    scene.settle()
    scene.edit(image="shop:1")
    assert kinds(scene.step()) == ["Deployment"], "its own tool might fail on a schema that is newer than itself"


def test_of_the_migrations_that_are_done_the_last_five_are_remembered() -> None:
    scene = Scene(migration=1)
    for number in range(1, 9):
        scene.now = f"2026-01-01T12:00:{number:02}Z"
        scene.edit(image=f"shop:{number}")
        scene.settle()
    assert len(scene.names("Job")) == 5
    scene.edit(image="shop:4")
    assert kinds(scene.step()) == ["Deployment"]
    scene.settle()
    scene.edit(image="shop:3")
    assert kinds(scene.step()) == ["Job"]


def test_the_end_of_a_running_migration_does_not_make_the_earlier_ones_forgotten() -> None:
    scene = Scene(migration=1)
    for image in ("shop:1", "shop:2"):
        scene.edit(image=image)
        scene.settle()
    scene.edit(image="shop:3")
    scene.step()
    scene.make("makes a pod")
    scene.edit(image="shop:4")
    scene.step()
    scene.world.run()
    scene.step()
    for _ in range(4):
        fail_a_try(scene)
    scene.make("has failed")
    scene.step()
    assert scene.reason == "MigrationFailed"
    scene.edit(image="shop:2")
    assert "Job" not in kinds(scene.step()), "its schema is there already"
    scene.settle()
    assert scene.ready == "True"


@pytest.mark.parametrize("fails", [False, True])
def test_two_migrations_never_run_at_once_however_often_the_image_changes(*, fails: bool) -> None:
    scene = Scene(migration=1)
    for number in range(1, 5):
        scene.edit(image=f"shop:{number}")
        for _ in range(4):
            scene.step()
            jobs = [each for each in scene.cluster.of_kind("Job") if not each.get("status", {}).get("conditions")]
            pods = scene.pods("migration")
            assert len(pods) <= 1
            assert len(jobs) <= 1
            for name in ("makes a pod", "ends pod", "is gone", *(["fails"] if fails else [])):
                if moves := [move for move in scene.world.moves() if name in str(move)]:
                    moves[0].do()
                    break
    scene.settle()
    assert scene.ready == "True"


def test_the_same_image_migrates_once_and_another_one_again() -> None:
    scene = Scene(migration=1)
    scene.settle()
    done = scene.names("Job")
    assert len(done) == 1
    scene.edit(pool=6)
    scene.settle()
    assert scene.names("Job") == done
    scene.edit(image="shop:2")
    scene.settle()
    assert len(scene.names("Job")) == 2
    assert scene.child("Deployment", "shop-web")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:2"


def test_a_failed_migration_stalls_keeps_what_ran_and_tells_where_its_log_is() -> None:
    scene = Scene(migration=1)
    scene.settle()
    scene.edit(image="shop:2")
    scene.step()
    name = next(each for each in scene.names("Job") if not scene.child("Job", each).get("status"))
    scene.cluster.edit_status("Job", "demo", name, conditions=[{"type": "Failed", "status": "True"}])
    decision = scene.step()
    assert (scene.ready, scene.reason, decision.requeue_after) == ("False", "MigrationFailed", None)
    assert f"kubectl -n demo logs job/{name}" in scene.message
    assert scene.condition("MigrationsApplied")["status"] == "False"
    assert scene.child("Deployment", "shop-web")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"

    scene.cluster.remove("Job", "demo", name)
    scene.settle()
    assert scene.ready == "True"


@pytest.mark.parametrize("between_tries", [False, True])
def test_a_migration_under_way_is_stopped_before_that_of_a_newer_image_begins(*, between_tries: bool) -> None:
    scene = Scene(migration=2)
    scene.step()
    old = scene.names("Job")
    scene.make("makes a pod")
    if between_tries:
        scene.make("fails")
    scene.edit(image="shop:2")
    decision = scene.step()
    assert decision.step.delete == (("Job", old[0]),)
    assert scene.names("Job") == []
    scene.step()
    if not between_tries:
        assert scene.names("Job") == [], "its pod is still there"
        scene.make("garbage collector ends pod")
        scene.step()
        assert scene.names("Job") == []
        scene.make("is gone")
        scene.step()
    assert len(scene.names("Job")) == 1
    assert scene.names("Job") != old


def test_the_migration_counts_as_long_as_its_job_can_try_again() -> None:
    scene = Scene(replicas=0, migration=3)
    scene.step()
    scene.make("makes a pod")
    scene.make("fails")
    scene.edit(migration=None)
    scene.step()
    assert scene.claim == 3
    scene.settle()
    assert (scene.claim, scene.names("Job")) == (0, [])
