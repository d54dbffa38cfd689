"""The chart as helm renders it: valid, restricted, deterministic, and refusing what it does not know."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import pytest
import yaml
from plimsoll_operator.settings import Settings
from support.helm import CHART, ROOT, helm, refusal, render
from support.restricted import problems
from support.schemas import validate

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

DIGEST = "sha256:" + "a" * 64
EVERYTHING = (
    f"image.digest={DIGEST}",
    "imagePullSecrets[0].name=registry",
    "crds.keep=false",
    "commonLabels.team=platform",
    "podAnnotations.note=hello",
    "nodeSelector.disk=ssd",
    "tolerations[0].operator=Exists",
    "priorityClassName=system-cluster-critical",
    "operator.logLevel=DEBUG",
    "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=1",
    "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchFields[0].key=metadata.name",
    "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchFields[0].operator=Exists",
)


@cache
def usual() -> tuple[Manifest, ...]:
    return tuple(render())


def one(kind: str, manifests: tuple[Manifest, ...] | list[Manifest] | None = None) -> Manifest:
    found = [each for each in manifests or usual() if each["kind"] == kind]
    assert len(found) == 1
    return found[0]


def test_helm_lints_it_without_a_warning() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("settings", [(), EVERYTHING], ids=["by default", "with everything set"])
def test_what_it_renders_is_valid_by_kubernetes_own_schemas(settings: tuple[str, ...]) -> None:
    for manifest in render(*settings):
        validate(manifest)


@pytest.mark.parametrize("settings", [(), EVERYTHING], ids=["by default", "with everything set"])
def test_its_pods_fit_the_restricted_standard(settings: tuple[str, ...]) -> None:
    pod = one("Deployment", render(*settings))["spec"]["template"]["spec"]
    assert problems(pod) == []
    assert pod["securityContext"]["runAsUser"] > 0, "a name in the image's USER cannot be checked by the kubelet"


def test_it_renders_the_same_each_time() -> None:
    assert render(*EVERYTHING) == render(*EVERYTHING)
    assert [json.dumps(each) for each in render()] == [json.dumps(each) for each in render()]


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("imagee.tag=v1", "imagee"),
        ("image.tags=v1", "tags"),
        ("image.digest=latest", "/image/digest"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("operator.concurency=4", "concurency"),
        ("operator.concurrency=0", "/operator/concurrency"),
        ("operator.logLevel=debug", "/operator/logLevel"),
        ("crds.instal=false", "instal"),
        ("crds.install=maybe", "/crds/install"),
        ("replicas=2", "replicas"),
    ],
)
def test_a_typo_or_a_wrong_value_is_refused_by_name(setting: str, named: str) -> None:
    words = refusal(setting)
    assert "values don't meet the specifications" in words
    assert f"'{named}'" in words


def test_values_yaml_shows_everything_that_may_be_set() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())

    def keys(node: Manifest) -> dict[str, object]:
        return {
            name: keys(child) if child.get("additionalProperties") is False else None
            for name, child in node["properties"].items()
            if name != "global"  # helm's own
        }

    def shape(node: object, like: object) -> object:
        if not isinstance(like, dict) or not isinstance(node, dict):
            return None
        return {name: shape(child, like.get(name)) for name, child in node.items()}

    assert shape(values, keys(schema)) == keys(schema)


def test_a_digest_wins_over_a_tag_and_the_tag_defaults_to_the_charts_version() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]

    def image(*settings: str) -> str:
        containers = one("Deployment", render(*settings))["spec"]["template"]["spec"]["containers"]
        return str(containers[0]["image"])

    assert image() == f"plimsoll/operator:{version}"
    assert image("image.tag=v7") == "plimsoll/operator:v7"
    assert image("image.tag=v7", f"image.digest={DIGEST}") == f"plimsoll/operator@{DIGEST}"


def test_the_crds_are_kept_on_uninstall_unless_told_otherwise_and_left_out_when_told() -> None:
    def crds(*settings: str) -> list[Manifest]:
        return [each for each in render(*settings) if each["kind"] == "CustomResourceDefinition"]

    assert [each["metadata"]["annotations"] for each in crds()] == [{"helm.sh/resource-policy": "keep"}] * 2
    assert ["annotations" in each["metadata"] for each in crds("crds.keep=false")] == [False, False]
    assert crds("crds.install=false") == []


def test_the_rendered_crds_are_the_committed_ones() -> None:
    committed = list(yaml.safe_load_all((CHART / "files/crds.yaml").read_text()))
    rendered = [each for each in usual() if each["kind"] == "CustomResourceDefinition"]
    assert [each["spec"] for each in rendered] == [each["spec"] for each in committed]


def test_every_object_carries_the_common_labels() -> None:
    for manifest in render("commonLabels.team=platform"):
        labels = manifest["metadata"]["labels"]
        assert labels["team"] == "platform"
        assert labels["app.kubernetes.io/part-of"] == "plimsoll"


def test_the_selector_does_not_change_with_the_version_or_the_labels() -> None:
    selector = one("Deployment", render("commonLabels.team=platform"))["spec"]["selector"]["matchLabels"]
    assert selector == {"app.kubernetes.io/name": "plimsoll-operator", "app.kubernetes.io/instance": "plimsoll"}


def test_there_is_never_more_than_one_writer_of_the_ledger() -> None:
    spec = one("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")


def test_the_operator_may_drain_its_queue_before_it_is_killed() -> None:
    grace = one("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > Settings().drain_seconds


def test_its_environment_is_what_its_settings_read() -> None:
    container = one("Deployment")["spec"]["template"]["spec"]["containers"][0]
    names = {each["name"] for each in container["env"]} - {"POD_ID"}
    assert names <= {f"PLIMSOLL_OPERATOR_{field}".upper() for field in Settings.model_fields}
    account = next(each for each in container["env"] if each["name"].endswith("SERVICE_ACCOUNT"))["value"]
    assert account == f"system:serviceaccount:plimsoll-system:{one('ServiceAccount')['metadata']['name']}"
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"health": Settings().health_port, "metrics": Settings().metrics_port}


@pytest.mark.parametrize("example", ["quickstart.yaml", "over-budget.yaml"])
def test_the_examples_are_valid(example: str) -> None:
    manifests = list(yaml.safe_load_all((ROOT / "examples" / example).read_text()))
    for manifest in manifests:
        if not manifest["apiVersion"].startswith("plimsoll.dev/"):
            validate(manifest)
