"""A rollout that does not come on says why at once where waiting does not help, with the numbers and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.builders import group
from support.scene import Scene

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

TIMED_OUT = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "shop-web-1" has timed out progressing.',
}


def waiting(reason: str, message: str = "", **more: Any) -> Manifest:
    return {"state": {"waiting": {"reason": reason, "message": message}}, "image": "shop:2", **more}


def crashed(
    restarts: int, *, code: int = 3, said: str = "", reason: str = "Error", ended: str = "2026-01-01T11:00:05Z"
) -> Manifest:
    run = {"startedAt": "2026-01-01T11:00:00Z", "finishedAt": ended}
    last = {"terminated": {"exitCode": code, "reason": reason, "message": said, **run}}
    return waiting("CrashLoopBackOff", "back-off 40s", restartCount=restarts, lastState=last)


def rolling(**wishes: Any) -> Scene:
    """A service whose image was changed, with one new pod that is not ready."""
    scene = Scene(replicas=2, **wishes)
    scene.settle()
    scene.edit(image="shop:2")
    scene.step()
    for name in ("sees deployment", "makes a replicaset", "to 1", "sees replicaset", "makes a pod", "shop-web reports"):
        scene.make(name)
    return scene


def new_pods(scene: Scene) -> list[Manifest]:
    pods = scene.cluster.of_kind("Pod")
    return [each for each in pods if each["spec"]["containers"][0]["image"] == "shop:2"]


def report(scene: Scene, **status: Any) -> None:
    """The kubelet (or the scheduler) says something of the new pods, and the operator looks."""
    for pod in new_pods(scene):
        scene.cluster.edit_status("Pod", "demo", pod["metadata"]["name"], **status)
    scene.step()


def stalled(scene: Scene) -> bool:
    assert scene.ready == "False"
    assert {scene.condition("Stalled")["status"], scene.condition("Reconciling")["status"]} == {"True", "False"}
    return bool(scene.condition("Stalled")["status"] == "True")


CASES = {
    "no such image": (
        waiting("ImagePullBackOff", 'Back-off pulling image "shop:2": not found'),
        True,
        "ImageCannotBePulled",
        (
            'web: Image shop:2 cannot be pulled (ImagePullBackOff: Back-off pulling image "shop:2": not found); correct'
            " image, or name the Secret of its registry in pod.imagePullSecrets."
        ),
    ),
    "first pull": (
        waiting("ErrImagePull", "timeout"),
        False,
        "Progressing",
        "cannot be pulled (ErrImagePull: timeout)",
    ),
    "no such secret": (
        waiting("CreateContainerConfigError", 'secret "keys" not found'),
        True,
        "ContainerCannotStart",
        (
            'web: Its container cannot start (CreateContainerConfigError: secret "keys" not found); create what is'
            " missing, or correct the spec."
        ),
    ),
    "first crashes": (crashed(2, said="no database"), False, "Progressing", "web: It crashes: restarted 2 times"),
    "crash loop": (
        crashed(4, said="Traceback\nKeyError: 'SHOP_KEY'"),
        True,
        "CrashLoop",
        (
            "web: It crashes: restarted 4 times, it ended with exit code 3. Its last lines:\nTraceback\n"
            "KeyError: 'SHOP_KEY'."
        ),
    ),
    "between two crashes": (
        {**crashed(4, said="no"), "state": {"running": {}}, "ready": False, "started": False},
        True,
        "CrashLoop",
        "restarted 4 times",
    ),
    "too little memory": (
        crashed(3, code=137, reason="OOMKilled"),
        True,
        "CrashLoop",
        "exit code 137: it used more memory than its limit, and it printed nothing.",
    ),
    "killed": (crashed(3, code=137), True, "CrashLoop", "exit code 137, SIGKILL"),
}


@pytest.mark.parametrize(("container", "holds", "reason", "words"), CASES.values(), ids=CASES)
def test_a_container_that_does_not_run_is_told_at_once(
    container: Manifest, holds: bool, reason: str, words: str
) -> None:
    scene = rolling()
    report(scene, containerStatuses=[container])
    assert (stalled(scene), scene.reason) == (holds, reason)
    assert scene.message.startswith("Pods ready so far: web 2/2. web: ")
    assert words in scene.message


@pytest.mark.parametrize(("ended", "reason"), [("11:09:59", "CrashLoop"), ("11:10:00", "Progressing")])
def test_a_node_that_was_started_anew_is_no_crash_loop_of_pods_that_crashed_once(ended: str, reason: str) -> None:
    scene = rolling()
    again = {"state": {"running": {}}, "ready": False, "started": False}
    report(scene, containerStatuses=[crashed(4, code=255, ended=f"2026-01-01T{ended}Z") | again])
    assert scene.reason == reason


def test_of_many_pods_that_crash_one_is_told_and_the_others_are_counted() -> None:
    scene = Scene(replicas=20, pool=1)
    scene.step()
    scene.world.run()
    scene.step()
    for name in ("sees deployment", "makes a replicaset"):
        scene.make(name)
    while moves := [each for each in scene.world.moves() if each.name.startswith(("replicaset", "controller"))]:
        moves[0].do()
    pods = list(scene.cluster.of_kind("Pod"))
    for number, pod in enumerate(pods):
        said = "\n".join([f"{number} {'x' * 200}"] * 9)
        scene.cluster.edit_status("Pod", "demo", pod["metadata"]["name"], containerStatuses=[crashed(4, said=said)])
    scene.step()
    assert (len(pods), stalled(scene), scene.reason) == (20, True, "CrashLoop")
    assert scene.message.count("It crashes") == 1
    assert scene.message.endswith(" And 19 more pods likewise.")
    assert len(scene.message) < 4096


def test_who_looks_at_pods_that_are_not_ready_looks_again_by_itself() -> None:
    scene = rolling()
    scene.step()
    assert scene.step().requeue_after == 5


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient cpu.",
}


def test_a_pod_that_no_node_takes_is_told_at_once_and_holds_once_its_deadline_has_passed() -> None:
    scene = rolling()
    report(scene, conditions=[UNSCHEDULABLE])
    assert (stalled(scene), scene.reason) == (False, "Progressing"), "a node may be on its way"
    assert "No node takes it (0/3 nodes are available: 3 Insufficient cpu.); lower resources.requests" in scene.message
    scene.cluster.edit_status("Deployment", "demo", "shop-web", conditions=[TIMED_OUT])
    scene.step()
    assert (stalled(scene), scene.reason) == (True, "Unschedulable")
    assert scene.message.endswith('web: ReplicaSet "shop-web-1" has timed out progressing.')


def refusal(message: str) -> Manifest:
    return {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        (
            'pods "shop-web-x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=5, limited: pods=5',
            "raise that ResourceQuota, or lower replicas, maxSurge or resources",
        ),
        ('pods "shop-web-x" is forbidden: violates PodSecurity "restricted:latest"', "correct what it names"),
    ],
)
def test_pods_that_the_cluster_refuses_are_told_with_its_numbers(message: str, fix: str) -> None:
    scene = rolling()
    scene.cluster.edit_status("Deployment", "demo", "shop-web", conditions=[refusal(message)])
    scene.step()
    assert (stalled(scene), scene.reason) == (True, "PodsRefused")
    assert f"web: The cluster refuses to make pods ({message}); {fix}." in scene.message


def test_a_pod_that_waits_for_a_place_behind_our_own_guard_is_no_trouble() -> None:
    scene = rolling()
    guard = 'pods "shop-web-x" is forbidden: exceeded quota: plimsoll-demo-shop-web-00000001, requested: pods=1'
    scene.cluster.edit_status("Deployment", "demo", "shop-web", conditions=[refusal(guard)])
    scene.step()
    assert (stalled(scene), scene.reason, scene.message) == (False, "Progressing", "Pods ready so far: web 2/2.")


def test_an_edit_that_mends_it_is_not_held_against_the_pods_that_are_to_go() -> None:
    scene = rolling()
    report(scene, containerStatuses=[waiting("ImagePullBackOff", "not found")])
    assert stalled(scene)
    scene.edit(image="shop:3")
    scene.step()
    assert not stalled(scene)
    scene.make("sees deployment")
    scene.step()
    assert not stalled(scene)
    scene.settle()
    assert scene.ready == "True"


@pytest.mark.parametrize(
    "mended",
    [
        pytest.param({"env": [{"name": "SHOP_KEY", "value": "x"}]}, id="a variable"),
        pytest.param({"envFrom": [{"secretRef": {"name": "keys"}}]}, id="many variables"),
        pytest.param({"web": {"startupSeconds": 90}}, id="a probe"),
        pytest.param({"web": {"resources": {"limits": {"memory": "1Gi"}}}}, id="resources"),
        pytest.param({"pod": {"serviceAccountName": "shop"}}, id="pod settings"),
    ],
)
def test_whatever_mends_a_crash_loop_is_not_held_against_the_pods_that_are_to_go(mended: Manifest) -> None:
    scene = rolling()
    report(scene, containerStatuses=[crashed(4, said="KeyError: 'SHOP_KEY'")])
    assert stalled(scene)
    scene.edit(image="shop:2", **mended)
    scene.step()
    scene.make("sees deployment")
    scene.step()
    assert not stalled(scene)
    assert "KeyError" not in scene.message


def test_a_deadline_that_has_passed_is_not_held_against_the_edit_that_follows() -> None:
    scene = rolling()
    scene.cluster.edit_status("Deployment", "demo", "shop-web", conditions=[TIMED_OUT])
    scene.step()
    assert (stalled(scene), scene.reason) == (True, "ProgressDeadlineExceeded")
    scene.edit(image="shop:3")
    scene.step()
    assert not stalled(scene)
    assert "timed out" not in scene.message


def test_going_back_by_the_spec_works_at_once() -> None:
    scene = rolling()
    report(scene, containerStatuses=[crashed(5)])
    scene.edit(image="shop:1")
    assert [each["kind"] for each in scene.step().step.apply] == ["Deployment"]
    assert not stalled(scene)
    scene.settle()
    assert (scene.ready, new_pods(scene)) == ("True", [])


def test_of_several_workloads_the_one_that_holds_gives_the_reason() -> None:
    scene = rolling(jobs=(group("ocr", replicas=1),))
    report(scene, containerStatuses=[crashed(3)])
    assert (stalled(scene), scene.reason) == (True, "CrashLoop")
    assert scene.message.startswith("Pods ready so far: jobs-ocr 1/1, web 2/2. ")
