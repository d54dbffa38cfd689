from __future__ import annotations

from typing import Any

import pytest
from plimsoll.api.meta import BudgetKey
from plimsoll.deployments import DeploymentView
from plimsoll.observed import MakerView, PodView, makers, running
from plimsoll.units import Connections

LABELS = {
    "app.kubernetes.io/component": "web",
    "plimsoll.dev/service": "shop",
    "plimsoll.dev/uid": "u1",
}
ANNOTATIONS = {"plimsoll.dev/connections": "demo/main=12"}
MAIN, OTHER = BudgetKey("demo", "main"), BudgetKey("platform", "orders")
DONE = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}


def deployment(status: dict[str, Any], *, replicas: int = 2) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"namespace": "demo", "generation": 3, "labels": LABELS},
        "spec": {"replicas": replicas, "template": {"metadata": {"annotations": ANNOTATIONS}}},
        "status": status,
    }


def test_a_deployment_is_settled_when_all_its_pods_are_new_and_available() -> None:
    view = DeploymentView.of(deployment(DONE))
    assert (view.part, view.seen, view.settled, view.ready, view.wanted, view.stuck) == ("web", True, True, 2, 2, "")


@pytest.mark.parametrize(
    "differs",
    [
        pytest.param({"observedGeneration": 2}, id="the controller has not seen the latest spec"),
        pytest.param({"updatedReplicas": 1}, id="an old pod is left"),
        pytest.param({"availableReplicas": 1}, id="a pod is not available"),
        pytest.param({"replicas": 3}, id="a surging pod is left"),
        pytest.param({"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}, id="a pod is missing"),
    ],
)
def test_and_not_before(differs: dict[str, int]) -> None:
    assert not DeploymentView.of(deployment(DONE | differs)).settled


def test_a_deployment_that_no_controller_has_seen_is_neither_seen_nor_settled() -> None:
    view = DeploymentView.of(deployment({}, replicas=0))
    assert (view.seen, view.settled) == (False, False)


def test_a_deployment_that_is_stuck_says_so_in_the_controllers_words() -> None:
    stuck = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "has timed out progressing."}
    assert DeploymentView.of(deployment(DONE | {"conditions": [stuck]})).stuck == "has timed out progressing."
    fine = {"type": "Progressing", "reason": "NewReplicaSetAvailable", "message": "has progressed."}
    assert not DeploymentView.of(deployment(DONE | {"conditions": [fine]})).stuck


def pod(phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "demo", "name": "shop-web-1", "labels": LABELS, "annotations": ANNOTATIONS}
        | metadata,
        "status": {"phase": phase},
    }


def test_a_pod_carries_what_it_can_open_and_where() -> None:
    (view,) = PodView.of(pod())
    assert view == PodView(
        namespace="demo",
        name="shop-web-1",
        service="shop",
        part="web",
        uid="u1",
        budget=MAIN,
        connections=Connections(12),
    )


def test_a_pod_that_uses_two_servers_is_counted_at_both() -> None:
    said = {"plimsoll.dev/connections": "demo/main=12,platform/orders=3"}
    views = running([pod(annotations=said)])
    assert [(view.budget, view.connections.count) for view in views] == [(MAIN, 12), (OTHER, 3)]


@pytest.mark.parametrize("said", ["", "12", "demo/main", "demo/main=", "demo/main=-1", "main=5", "/main=5", "a/b=1e3"])
def test_an_annotation_that_makes_no_sense_says_nothing(said: str) -> None:
    assert running([pod(annotations={"plimsoll.dev/connections": said})]) == ()


@pytest.mark.parametrize(
    ("grace", "overdue_from"), [(30, "2026-01-01T00:00:05Z"), (3, "2026-01-01T00:00:03Z"), (0, "2026-01-01T00:00:00Z")]
)
def test_a_terminating_pod_is_overdue_before_its_quota_forgets_it(grace: int, overdue_from: str) -> None:
    ends = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace}
    (view,) = PodView.of(pod(**ends))
    assert view.overdue_from == overdue_from, "the quota forgets it at the deletionTimestamp plus the grace period"


def test_terminating_and_pending_pods_count_and_ended_ones_do_not() -> None:
    seen = running(
        [pod("Pending"), pod(deletionTimestamp="2026-01-01T00:00:00Z"), pod("Succeeded"), pod("Failed"), pod("Unknown")]
    )
    assert len(seen) == 3


def test_why_a_pod_does_not_start_is_read_in_the_kubelets_words() -> None:
    def status(**waiting: str) -> dict[str, Any]:
        return {"containerStatuses": [{"state": {"waiting": waiting}}]}

    manifest = pod(labels=LABELS, annotations=ANNOTATIONS)
    missing = status(reason="CreateContainerConfigError", message='secret "nope" not found')

    def trouble(said: dict[str, Any]) -> str:
        (view,) = PodView.of({**manifest, "status": said})
        return str(view.trouble or "")

    assert '(CreateContainerConfigError: secret "nope" not found)' in trouble(missing)
    assert trouble(status(reason="ContainerCreating")) == trouble({}) == ""


def test_a_pod_without_our_annotations_is_read_as_one_that_opens_nothing() -> None:
    assert running([pod(labels={}, annotations={})]) == ()


def replica_set(replicas: int, *, observed: int = 1) -> dict[str, Any]:
    return {
        "kind": "ReplicaSet",
        "metadata": {"namespace": "demo", "generation": 1, "labels": LABELS},
        "spec": {"replicas": replicas, "template": {"metadata": {"annotations": ANNOTATIONS}}},
        "status": {"observedGeneration": observed},
    }


def job(*conditions: str) -> dict[str, Any]:
    return {
        "kind": "Job",
        "metadata": {"namespace": "demo", "labels": LABELS},
        "spec": {"template": {"metadata": {"annotations": ANNOTATIONS}}},
        "status": {"conditions": [{"type": each, "status": "True"} for each in conditions]},
    }


@pytest.mark.parametrize(
    ("workload", "makes"),
    [
        pytest.param(deployment(DONE), True, id="a Deployment"),
        pytest.param(deployment({}, replicas=0), True, id="a Deployment at zero, which anyone may scale"),
        pytest.param(replica_set(2), True, id="a ReplicaSet"),
        pytest.param(replica_set(0), False, id="an old ReplicaSet at zero"),
        pytest.param(replica_set(0, observed=0), True, id="one at zero whose controller does not know yet"),
        pytest.param(job(), True, id="a Job under way, also between two tries"),
        pytest.param(job("Suspended"), True, id="a Job that is suspended"),
        pytest.param(job("Complete"), False, id="a Job that is complete"),
        pytest.param(job("FailureTarget", "Failed"), False, id="a Job that has failed"),
    ],
)
def test_what_can_still_make_pods_is_counted_whether_or_not_it_has_some(workload: dict[str, Any], makes: bool) -> None:
    expected = MakerView(
        namespace="demo", service="shop", part="web", uid="u1", budget=MAIN, connections=Connections(12)
    )
    assert makers([workload]) == ((expected,) if makes else ())
