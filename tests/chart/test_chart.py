"""The chart: what it renders is valid, restricted, deterministic, least-privileged; what it must refuse, it refuses."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from plimsoll.api import crd
from plimsoll_operator.cluster import RESOURCES

ROOT = Path(__file__).parents[2]
CHART = ROOT / "chart"
KUBERNETES = re.search(r"^KUBERNETES=(\S+)", (ROOT / "hack/versions.env").read_text(), re.MULTILINE)[1]


@pytest.fixture(scope="session")
def helm() -> str:
    found = shutil.which("helm") or shutil.which("helm", path=str(ROOT / ".cache/bin"))
    assert found, "no helm on PATH nor in .cache/bin: `make check` and `make test` build it"
    return found


def run(helm: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *arguments], capture_output=True, text=True, check=False, timeout=60)


def render(helm: str, *arguments: str) -> str:
    done = run(
        helm, "template", "plimsoll", str(CHART), "-n", "plimsoll-system", "--kube-version", KUBERNETES, *arguments
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(text: str, kind: str) -> list[dict[str, Any]]:
    return [each for each in objects(text) if each["kind"] == kind]


def test_it_passes_helm_lint(helm):
    done = run(helm, "lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_object_it_renders_is_valid_to_the_strict_schema(helm):
    for each in objects(render(helm)):
        if each["kind"] != "CustomResourceDefinition":  # tested against the API server by the kind tier
            kubernetes_validate.validate(each, ".".join(KUBERNETES.split(".")[:2]), strict=True)


def test_two_renderings_are_the_same(helm):
    assert render(helm) == render(helm)


def test_the_operators_pod_meets_the_restricted_standard(helm):
    [deployment] = of_kind(render(helm), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_the_committed_crds_are_those_of_the_models():
    committed = (CHART / "files/crds.yaml").read_text()
    assert committed == crd.documents(), "chart/files/crds.yaml differs from the models: run `make generate`"


def test_the_crds_stay_on_uninstall_unless_told_otherwise(helm):
    kept = of_kind(render(helm), "CustomResourceDefinition")
    assert len(kept) == 2
    assert all(each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for each in kept)
    dropped = of_kind(render(helm, "--set", "crds.keep=false"), "CustomResourceDefinition")
    assert len(dropped) == 2
    assert not any("annotations" in each["metadata"] for each in dropped)
    assert of_kind(render(helm, "--set", "crds.install=false"), "CustomResourceDefinition") == []


def test_what_helm_makes_of_a_crd_says_what_the_model_says(helm):
    for rendered, kind in zip(of_kind(render(helm), "CustomResourceDefinition"), crd.KINDS, strict=True):
        assert rendered["spec"] == crd.crd(kind)["spec"]


def test_every_field_of_a_crd_is_described():
    def undescribed(schema: dict[str, Any], path: str) -> list[str]:
        found = [] if schema.get("description") else [path]
        for name, child in schema.get("properties", {}).items():
            found += undescribed(child, f"{path}.{name}")
        items = schema.get("items", {})
        for name, child in items.get("properties", {}).items():
            found += undescribed(child, f"{path}[].{name}")
        return found

    for kind in crd.KINDS:
        properties = crd.crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        missing = [path for part in ("spec", "status") for path in undescribed(properties[part], part)]
        assert missing == [], f"{kind.model.__name__}: give these fields a docstring: {missing}"


def test_a_crd_stays_below_what_client_side_apply_can_carry():
    assert len(crd.documents()) < 200 * 1024


@pytest.mark.parametrize(
    "setting",
    [
        "image.repo=x",
        "operator.concurency=4",
        "operator.concurrency=0",
        "operator.logLevel=LOUD",
        "crds.keep=maybe",
        "x=1",
    ],
)
def test_a_value_that_is_not_one_is_refused_by_its_path(helm, setting):
    done = run(helm, "template", "plimsoll", str(CHART), "--kube-version", KUBERNETES, "--set", setting)
    assert done.returncode != 0
    assert setting.split("=")[0].rsplit(".", 1)[-1] in done.stderr


def test_a_digest_wins_over_the_tag(helm):
    digest = "sha256:" + "0" * 64
    [deployment] = of_kind(render(helm, "--set", f"image.digest={digest},image.tag=x"), "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == f"plimsoll/operator@{digest}"


def test_the_operator_may_touch_only_the_kinds_that_it_knows_and_no_secret(helm):
    [role] = of_kind(render(helm), "ClusterRole")
    granted = {
        (group, resource.split("/")[0])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    known = {(each.group, each.plural) for kind, each in RESOURCES.items() if kind != "Secret"}
    assert granted == known
    assert not any("*" in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in role["rules"])


def test_it_runs_one_writer_at_a_time(helm):
    [deployment] = of_kind(render(helm), "Deployment")
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
