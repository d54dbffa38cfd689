"""The kind tier: one cluster for the session, with the chart and the quickstart; a stage for modules that need one.

hack/test.sh makes the cluster, loads the images and says in the environment where both are. Without it the tier is
skipped, so that `pytest tests/unit` and the like need no cluster.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.kube import Kube
from support.stage import SERVICE, Images, set_up
from support.story import OPERATOR_NAMESPACE

CHART = Path(__file__).parents[2] / "chart"
NEEDED = ("KUBECONFIG", "PLIMSOLL_CLUSTER", "PLIMSOLL_PORT", "PLIMSOLL_OPERATOR_IMAGE", "PLIMSOLL_CAPTIONS_IMAGE")


def pytest_collection_modifyitems(items):
    here = str(Path(__file__).parent)
    missing = [name for name in NEEDED if name not in os.environ]
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.e2e)
            if missing:
                item.add_marker(
                    pytest.mark.skip(reason=f"needs a kind cluster (make test): {', '.join(missing)} not set")
                )


@pytest.fixture(scope="session")
def images():
    return Images.of_environment()


@pytest.fixture(scope="session")
def kube(images):
    """The cluster, with the chart installed."""
    kube = Kube()
    install(kube, images)
    return kube


@pytest.fixture
def operator(kube, images):
    """Installs the chart again with other values; without any, as it was."""
    return lambda *values: install(kube, images, *values)


def install(kube: Kube, images: Images, *chosen: str) -> None:
    """``helm upgrade --install`` with these values and the images of this run, and waits for the operator."""
    repository, _, tag = images.operator.rpartition(":")
    helm = (
        "helm",
        "upgrade",
        "--install",
        "plimsoll",
        str(CHART),
        "--namespace",
        OPERATOR_NAMESPACE,
        "--create-namespace",
    )
    values = [f"image.repository={repository}", f"image.tag={tag}", *chosen]
    values = [word for value in values for word in ("--set", value)]
    done = subprocess.run([*helm, *values], capture_output=True, text=True, check=False, env=kube.environment)
    assert done.returncode == 0, done.stderr
    kube.until("the operator is up", lambda: operator_is_up(kube), within=120)


def operator_is_up(kube: Kube) -> bool:
    """Whether the operator's Deployment has its pod, of the latest template."""
    deployment = kube.get("deployment", "plimsoll-operator", namespace=OPERATOR_NAMESPACE)
    status = deployment.get("status", {}) if deployment else {}
    return bool(
        deployment
        and status.get("observedGeneration") == deployment["metadata"]["generation"]
        and status.get("updatedReplicas") == status.get("readyReplicas") == status.get("replicas") == 1
    )


@pytest.fixture(scope="session")
def demo(kube, images):
    """The quickstart as users get it, its port published on the host."""
    for left in ("reports", "waiting", "first-response"):
        if kube.get("namespace", "demo"):
            kube.delete(SERVICE, left, namespace="demo")
    return set_up(kube, "demo", images)


@pytest.fixture(scope="session")
def url():
    """Where the quickstart's service is reached from outside the cluster."""
    return f"http://127.0.0.1:{os.environ['PLIMSOLL_PORT']}"


@pytest.fixture(scope="session")
def other_image(kube, images):
    """A second name of the captions image."""
    return images.second_tag(kube)
