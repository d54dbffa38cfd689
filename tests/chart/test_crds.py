"""The CRDs: generated from the models, never by hand, and telling `kubectl explain` everything."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]  # no stubs among our requirements
import pytest
import yaml
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.crd import crd, documents, schema_of
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.api.kinds import KINDS
from support.builders import budget_manifest, group, service_manifest
from support.helm import CHART, ROOT
from support.schemas import validate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll.api.kinds import Kind
    from plimsoll.api.meta import Manifest

BOTH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model.__name__)


def schema(kind: Kind) -> Manifest:
    found: Manifest = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def fields(node: Manifest, path: str = "") -> Iterator[tuple[str, Manifest]]:
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from fields(child, f"{path}.{name}")
    if "items" in node:
        yield from fields(node["items"], f"{path}[]")


def test_the_committed_crds_are_those_of_the_models() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "plimsoll.api.crd"], capture_output=True, text=True, check=True
    ).stdout
    assert printed == documents()
    assert (CHART / "files/crds.yaml").read_text() == printed, (
        "chart/files/crds.yaml is not what the models say: `make generate` writes it anew"
    )


def test_a_crd_stays_below_what_client_side_apply_can_carry() -> None:
    assert len(documents()) < 200 * 1024


@BOTH
def test_a_crd_is_valid_by_kubernetes_own_schema(kind: Kind) -> None:
    validate(crd(kind))


@BOTH
def test_every_field_has_a_description(kind: Kind) -> None:
    known = {".apiVersion", ".kind", ".metadata", ".spec", ".status"}
    silent = [path for path, node in fields(schema(kind)) if path not in known and not node.get("description")]
    assert silent == []


@BOTH
def test_every_text_and_list_is_bounded_so_that_rules_have_a_cost(kind: Kind) -> None:
    spec = schema(kind)["properties"]["spec"]
    unbounded = [
        path
        for path, node in fields(spec)
        if (node.get("type") == "string" and "maxLength" not in node and "enum" not in node)
        or (node.get("type") == "array" and "maxItems" not in node)
    ]
    assert unbounded == []


@BOTH
def test_a_new_object_says_that_nobody_has_looked_at_it_yet(kind: Kind) -> None:
    assert schema(kind)["properties"]["status"]["default"] == {"observedGeneration": -1}


@BOTH
def test_names_columns_and_scale_answer_what_people_ask(kind: Kind) -> None:
    made = crd(kind)["spec"]
    version = made["versions"][0]
    headings = [each["name"] for each in version["additionalPrinterColumns"]]
    assert headings[0] == "Ready"
    assert headings[-1] == "Age"
    assert made["names"]["categories"] == ["plimsoll"]
    assert len(made["names"]["shortNames"]) == 1
    paths = {path for path, _ in fields(schema(kind))}
    for column in version["additionalPrinterColumns"]:
        if "?(" not in column["jsonPath"] and not column["jsonPath"].startswith(".metadata"):
            assert column["jsonPath"] in paths
    if kind.scale:
        for path in version["subresources"]["scale"].values():
            assert path in paths


def _spec_errors(model: type, spec: Manifest) -> list[str]:
    kind = next(each for each in KINDS if each.model is model)
    checker = jsonschema.Draft202012Validator(schema(kind)["properties"]["spec"])
    return [error.json_path for error in checker.iter_errors(spec)]


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"web": {"replicas": -1}}, "$.web.replicas"),
        ({"web": {"replicas": 100000}}, "$.web.replicas"),
        ({"web": {"workers": 0}}, "$.web.workers"),
        ({"web": {"service": {"type": "LoadBalancer"}}}, "$.web.service.type"),
        ({"jobs": [group("Not_A_Label")]}, "$.jobs[0].name"),
        ({"jobs": [{"name": "ocr"}]}, "$.jobs[0]"),
        ({"image": ""}, "$.image"),
        ({"database": {"budgetRef": {"name": "main"}}}, "$.database"),
        (
            {"database": {"budgetRef": {"name": "m"}, "secretRef": {"name": "s"}, "pool": {"size": 0}}},
            "$.database.pool.size",
        ),
        (
            {"database": {"budgetRef": {"name": "m"}, "secretRef": {"name": "postgresql://u:pw@h/d"}}},
            "$.database.secretRef.name",
        ),
        ({"envFrom": [{"secretRef": {"name": "postgresql://u:pw@h/d"}}]}, "$.envFrom[0].secretRef.name"),
        ({"migrations": {"command": []}}, "$.migrations.command"),
        ({"rollout": {"maxSurge": "25%"}}, "$.rollout.maxSurge"),
        ({"shutdown": {"drainSeconds": -1}}, "$.shutdown.drainSeconds"),
    ],
)
def test_the_schema_refuses_what_makes_no_sense(spec: Manifest, where: str) -> None:
    whole = service_manifest()["spec"] | spec
    assert where in _spec_errors(FastAPIService, whole)


@pytest.mark.parametrize("spec", [{"reserve": -1}, {"maxConnections": 0}, {"allowedNamespaces": {"from": "Some"}}])
def test_the_budgets_schema_refuses_what_makes_no_sense(spec: Manifest) -> None:
    assert _spec_errors(ConnectionBudget, budget_manifest()["spec"] | spec)


def test_schema_and_models_agree_about_the_examples() -> None:
    models = {"ConnectionBudget": ConnectionBudget, "FastAPIService": FastAPIService}
    seen = 0
    for file in sorted((ROOT / "examples").glob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text()):
            if model := models.get(manifest["kind"]):
                assert _spec_errors(model, manifest["spec"]) == []
                model.model_validate(manifest)
                seen += 1
    assert seen == 3


@pytest.mark.parametrize("model", [FastAPIService, ConnectionBudget])
def test_the_defaults_of_the_schema_are_those_of_the_models(model: type[Any]) -> None:
    kind = next(each for each in KINDS if each.model is model)
    spec = (service_manifest if model is FastAPIService else budget_manifest)()["spec"]
    bare = {name: spec[name] for name in schema(kind)["properties"]["spec"]["required"]}
    if "database" in bare:
        bare["database"] = {name: bare["database"][name] for name in ("budgetRef", "secretRef")}
    defaulted = _defaulted(bare, schema(kind)["properties"]["spec"])
    wire = {"metadata": {"name": "x"}}
    assert model.model_validate(wire | {"spec": bare}) == model.model_validate(wire | {"spec": defaulted})
    assert model.model_validate(wire | {"spec": bare}).spec.model_dump(
        by_alias=True, exclude_none=True, mode="json"
    ) == {**defaulted} | ({"jobs": [], "env": [], "envFrom": []} if model is FastAPIService else {}) | _filled(
        defaulted, model
    )


def _filled(defaulted: Manifest, model: type[Any]) -> Manifest:
    """What a model writes out though the schema leaves it empty: lists and objects without content."""
    if model is not FastAPIService:
        return {}
    return {
        "web": defaulted["web"] | {"command": [], "resources": {}},
        "pod": defaulted["pod"] | {"imagePullSecrets": [], "nodeSelector": {}, "tolerations": []},
    }


def _defaulted(value: Any, node: Manifest) -> Any:
    """What the API server makes of an object by the schema's defaults."""
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, child in node.get("properties", {}).items():
        if name not in filled and "default" in child:
            filled[name] = child["default"]
        if name in filled:
            filled[name] = _defaulted(filled[name], child)
    return filled


def test_what_a_structural_schema_cannot_say_is_refused_and_not_dropped() -> None:
    with pytest.raises(ValueError, match="a union"):
        schema_of({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {})
    with pytest.raises(ValueError, match="no rule for"):
        schema_of({"type": "integer", "multipleOf": 5}, {})
