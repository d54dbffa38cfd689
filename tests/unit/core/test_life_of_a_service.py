"""From the first look to the last: decide and report, with the world's answers in between."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from support.builders import NOW, budget_manifest, claim, group
from support.scene import Scene, kinds

OCR = group("ocr", replicas=2, connections=2)
DEFAULT: dict[str, Any] = {"replicas": 1, "workers": 4, "pool": 10, "overflow": 20}  # 2 pods × 4 × (10 + 20) = 240


def others(connections: int, *, usable: int = 91) -> dict[str, object]:
    """A budget in which others hold so many connections."""
    return budget_manifest(usable=usable, claims=(claim(9, connections, "other"),))


# ---- creation


def test_a_new_service_is_claimed_for_then_guarded_then_migrated_then_rolled_out() -> None:
    scene = Scene(replicas=2, pool=5, jobs=(OCR,), migration=1)
    first = scene.step()
    assert scene.claim == 3 * 5 + 3 * 2 + 1
    assert kinds(first) == ["PriorityClass", "ResourceQuota", "PriorityClass", "ResourceQuota", "Service", "Job"]
    assert (scene.ready, scene.reason) == ("False", "Migrating")

    scene.make("makes a pod")
    assert not scene.step().step.apply
    scene.make("succeeds")
    scene.make("is complete")
    assert not scene.step().step.apply, "the guards are not in force yet"
    assert scene.reason == "WaitingForGuard"

    scene.make("quota", times=2)
    assert kinds(scene.step()) == ["Deployment", "PodDisruptionBudget"] * 2
    assert (scene.ready, scene.reason, scene.message) == (
        "False",
        "Progressing",
        "Pods ready so far: jobs-ocr 0/2, web 0/2.",
    )

    scene.settle()
    assert (scene.ready, scene.reason) == ("True", "Available")
    assert scene.message == "All pods are ready: jobs-ocr 2/2, web 2/2."
    assert (scene.pods(), scene.pods("jobs-ocr"), scene.claim) == ([5, 5], [2, 2], 22)


def test_an_undisturbed_service_is_left_alone() -> None:
    scene = Scene()
    scene.settle()
    before = scene.status
    decision = scene.step()
    assert (decision.step.apply, decision.step.delete, decision.findings, decision.requeue_after) == ((), (), (), None)
    assert scene.status == before


def test_the_status_tells_the_plan_and_what_kubectl_scale_needs() -> None:
    scene = Scene(replicas=2, jobs=(OCR,))
    scene.settle()
    status = scene.status
    assert status["plan"] == {
        "connections": 21,
        "granted": 21,
        "perPod": 5,
        "poolSize": 5,
        "poolSizeTime": NOW,
        "pods": 6,
        "memory": "",
        "arithmetic": (
            "web (2 + 1 surge) pods × 1 process × 5 pool = 15; jobs ocr (2 + 1 surge) pods × 1 process × 2 pool = 6"
        ),
    }
    assert (status["replicas"], status["readyPods"], status["url"]) == (2, "4/4", "http://shop.demo.svc")
    assert status["selector"] == "plimsoll.dev/service=shop,app.kubernetes.io/component=web"
    assert status["observedGeneration"] == 1
    granted = scene.condition("BudgetGranted")
    assert (granted["status"], granted["message"]) == ("True", "21 connections are held for it; its spec asks for 21.")


def test_it_is_not_ready_before_its_controller_has_seen_it_nor_before_the_last_pod_is() -> None:
    scene = Scene(replicas=2, jobs=(group("ocr", replicas=0),))
    scene.step()
    scene.make("quota", times=2)
    scene.step()
    said = [scene.ready]
    for _ in range(40):
        moves = [move for move in scene.world.moves() if move.fair]
        if not moves:
            break
        moves[0].do()
        scene.step()
        ready_pods = sum(pod["status"]["ready"] for pod in scene.cluster.of_kind("Pod"))
        said.append(scene.ready)
        assert scene.ready == "False" or ready_pods == 2
    assert said[-1] == "True"


def test_a_service_of_nothing_claims_nothing_and_is_ready() -> None:
    scene = Scene(replicas=0)
    scene.settle()
    assert (scene.ready, scene.claim, scene.status["readyPods"]) == ("True", 0, "0/0")


def test_a_deployment_whose_controller_gave_up_stalls_in_its_words() -> None:
    scene = Scene()
    scene.settle()
    stuck = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "has timed out.",
    }
    scene.cluster.edit_status("Deployment", "demo", "shop-web", conditions=[stuck])
    scene.step()
    assert scene.condition("Stalled")["status"] == "True"
    assert scene.reason == "ProgressDeadlineExceeded"
    assert scene.message == "Pods ready so far: web 2/2. web: has timed out."


# ---- refusal


def test_what_does_not_fit_makes_nothing_and_says_the_arithmetic() -> None:
    scene = Scene(**DEFAULT)
    decision = scene.step()
    assert (decision.step.apply, scene.claim) == ((), 0)
    assert (scene.ready, scene.reason) == ("False", "OverBudget")
    assert scene.condition("Stalled")["status"] == "True"
    assert "Needs 240 connections" in scene.message
    assert "4 × 10 = 40" in scene.message
    assert "What would fit: database.pool.size 11 with maxOverflow 0." in scene.message
    granted = scene.condition("BudgetGranted")
    assert (granted["status"], granted["message"]) == ("False", scene.message)


def test_an_edit_over_the_budget_is_held_off_and_what_runs_keeps_running() -> None:
    scene = Scene(replicas=2, pool=5)
    scene.settle()
    before = scene.child("Deployment", "shop-web")
    scene.edit(pool=50)
    scene.settle()
    assert (scene.ready, scene.reason) == ("False", "OverBudget")
    assert scene.child("Deployment", "shop-web") == before
    assert (scene.pods(), scene.claim) == ([5, 5], 15)

    scene.edit(pool=6)
    scene.settle()
    assert (scene.ready, scene.pods(), scene.claim) == ("True", [6, 6], 18)


def test_room_that_others_free_is_taken() -> None:
    scene = Scene(budget=others(80), replicas=2, pool=5)
    scene.settle()
    assert (scene.reason, scene.claim) == ("OverBudget", 0)
    freed = [claim(9, 76, "other")]
    scene.cluster.edit_status("ConnectionBudget", "demo", "main", claims=freed)
    scene.settle()
    assert (scene.ready, scene.claim) == ("True", 15)


def test_a_refused_service_gives_back_what_it_held_only_on_the_way() -> None:
    scene = Scene(replicas=2, pool=5)
    scene.settle()
    scene.edit(pool=9)
    scene.step()
    assert scene.claim == 27
    scene.edit(pool=90)
    scene.settle()
    assert (scene.reason, scene.claim, scene.pods()) == ("OverBudget", 27, [9, 9])


# ---- change


def test_a_larger_pool_is_claimed_before_any_pod_has_it() -> None:
    scene = Scene(replicas=2, pool=5)
    scene.settle()
    scene.edit(pool=8)
    decision = scene.step()
    assert scene.claim == 24
    assert kinds(decision) == ["Deployment"]


def test_a_smaller_pool_is_given_back_only_when_nothing_can_make_a_larger_pod_any_more() -> None:
    scene = Scene(replicas=2, pool=8)
    scene.settle()
    scene.edit(pool=5)
    claims = set()
    for _ in range(60):
        scene.step()
        larger = 8 in scene.pods() or any(maker.connections.count == 8 for maker in scene.look().makers)
        assert scene.claim == 24 or not larger
        claims.add(scene.claim)
        moves = [move for move in scene.world.moves() if move.fair]
        if not moves:
            break
        moves[0].do()
    assert claims == {24, 15}
    assert (scene.ready, scene.claim, scene.pods()) == ("True", 15, [5, 5])


def test_fewer_replicas_lower_the_guard_first_and_the_claim_last() -> None:
    scene = Scene(replicas=4, pool=5)
    scene.settle()
    scene.edit(replicas=1)
    assert kinds(scene.step()) == ["ResourceQuota"]
    assert (scene.guard(), scene.claim) == ("2", 25)
    scene.make("quota")
    assert kinds(scene.step()) == ["Deployment"]
    assert scene.claim == 20, "four pods are there, and no fifth can come"
    scene.settle()
    assert (scene.pods(), scene.claim, scene.ready) == ([5], 10, "True")


def test_more_replicas_raise_the_claim_then_the_guard_then_the_workload() -> None:
    scene = Scene(replicas=1, pool=5)
    scene.settle()
    scene.edit(replicas=3)
    assert (kinds(scene.step()), scene.guard(), scene.claim) == (["ResourceQuota"], "4", 20)
    assert scene.reason == "WaitingForGuard"
    assert kinds(scene.step()) == []
    scene.make("quota")
    assert kinds(scene.step()) == ["Deployment"]


def test_a_job_group_that_is_removed_is_counted_until_its_last_pod_is_gone() -> None:
    scene = Scene(replicas=1, pool=5, jobs=(OCR,))
    scene.settle()
    assert scene.claim == 10 + 6
    scene.edit(jobs=())
    assert scene.step().step.delete == (("Deployment", "shop-jobs-ocr"), ("PodDisruptionBudget", "shop-jobs-ocr"))
    assert scene.claim == 16
    scene.make("garbage collector removes ReplicaSet")
    scene.step()
    assert scene.claim == 10 + 4, "two pods are left and nothing can make a third"
    scene.settle()
    assert (scene.claim, scene.names("Deployment")) == (10, ["shop-web"])
    assert scene.names("ResourceQuota") == scene.names("PriorityClass") == ["plimsoll-demo-shop-web-00000001"]


def test_connections_move_from_one_workload_to_another_by_shrinking_first() -> None:
    scene = Scene(usable=30, replicas=4, pool=4, jobs=(group("ocr", replicas=1, connections=2),))
    scene.settle()
    assert scene.claim == 5 * 4 + 2 * 2
    scene.edit(replicas=1, jobs=(group("ocr", replicas=9, connections=2),))
    scene.step()
    assert (scene.ready, scene.claim) == ("False", 24)
    assert (scene.guard(), scene.guard("jobs-ocr")) == ("2", "2"), "what shrinks goes first"
    scene.settle()
    assert (scene.ready, scene.claim, len(scene.pods()), len(scene.pods("jobs-ocr"))) == ("True", 28, 1, 9)


def test_more_but_cheaper_pods_that_do_not_fit_beside_the_old_are_first_replaced_one_for_one() -> None:
    scene = Scene(usable=30, replicas=2, pool=10)
    scene.settle()
    scene.edit(replicas=5, pool=5)
    scene.step()
    assert (scene.reason, scene.claim, scene.guard()) == ("WaitingForBudget", 30, "3")
    assert scene.child("Deployment", "shop-web")["spec"]["replicas"] == 2
    assert scene.message == "Needs 30 connections, which fit once the pods that are to go have gone."
    scene.settle()
    assert (scene.ready, scene.claim, scene.pods()) == ("True", 30, [5] * 5)


def test_a_migration_that_fits_at_the_end_but_not_beside_what_runs_says_so() -> None:
    scene = Scene(usable=30, replicas=2, pool=10)
    scene.settle()
    scene.edit(pool=5, migration=4, image="shop:2")
    scene.settle()
    assert (scene.reason, scene.claim, scene.pods()) == ("OverBudget", 30, [10, 10])
    assert scene.message == (
        "Needs 19 connections, which fit, but not beside what runs: 30 and 4 for the migration, with 30 free for it."
        " Change the pods first, and add the migration after that."
    )
    scene.edit(migration=None)
    scene.settle()
    scene.edit(migration=4)
    scene.settle()
    assert (scene.ready, scene.claim) == ("True", 19)


def test_nothing_new_is_decided_before_the_controller_has_seen_the_last_step() -> None:
    scene = Scene(replicas=2, pool=8)
    scene.settle()
    scene.edit(pool=5)
    scene.step()
    scene.edit(pool=5, replicas=4)
    decision = scene.step()
    assert (decision.step.apply, dict(decision.claims)) == ((), {})
    assert scene.claim == 24
    scene.settle()
    assert (scene.ready, scene.claim, scene.pods()) == ("True", 25, [5] * 4)


# ---- repair


@pytest.mark.parametrize(
    ("kind", "name", "spec"),
    [
        ("Deployment", "shop-web", {"replicas": 7}),
        ("ResourceQuota", "plimsoll-demo-shop-web-00000001", {"hard": {"pods": "9"}}),
        ("Service", "shop", {"ports": []}),
        ("PodDisruptionBudget", "shop-web", {"maxUnavailable": 0}),
    ],
)
def test_a_foreign_edit_is_taken_back(kind: str, name: str, spec: dict[str, object]) -> None:
    scene = Scene()
    scene.settle()
    before = scene.child(kind, name)["spec"]
    scene.cluster.edit_spec(kind, "demo", name, **spec)
    scene.world.run()
    scene.settle()
    assert scene.child(kind, name)["spec"] == before
    assert (scene.ready, scene.claim, scene.pods()) == ("True", 15, [5, 5])


def test_a_variable_that_somebody_adds_to_the_template_is_taken_back() -> None:
    scene = Scene()
    scene.settle()

    spec = copy.deepcopy(scene.child("Deployment", "shop-web")["spec"])
    spec["template"]["spec"]["containers"][0]["env"].append({"name": "FOREIGN", "value": "1"})
    spec["template"]["spec"]["containers"].append({"name": "sidecar", "image": "dials-the-database:1"})
    spec["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "today"
    scene.cluster.edit_spec("Deployment", "demo", "shop-web", **spec)
    scene.world.run()
    scene.settle()
    template = scene.child("Deployment", "shop-web")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert "FOREIGN" not in {each["name"] for each in container["env"]}
    assert template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] == "today", "that harms nobody"


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ResourceQuota", "PriorityClass", "PodDisruptionBudget"])
def test_a_child_that_somebody_removes_comes_back(kind: str) -> None:
    scene = Scene()
    scene.settle()
    name = scene.names(kind)[0]
    scene.cluster.remove(kind, "demo", name)
    scene.world.run()
    scene.settle()
    assert scene.names(kind) == [name]
    assert (scene.ready, scene.claim) == ("True", 15)


def test_without_its_guard_nothing_of_the_claim_is_given_back() -> None:
    scene = Scene(replicas=4)
    scene.settle()
    scene.cluster.remove("ResourceQuota", "demo", "plimsoll-demo-shop-web-00000001")
    scene.edit(replicas=1)
    scene.step()
    assert scene.claim == 25
