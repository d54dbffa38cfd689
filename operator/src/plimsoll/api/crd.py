"""From the pydantic models to CustomResourceDefinitions.

``python -m plimsoll.api.crd`` prints them; ``make generate`` writes them into the chart, and a test fails when the
committed file differs. The translation handles exactly what the models use and refuses the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import RESERVED_ENV, FastAPIService
from plimsoll.api.meta import GROUP, VERSION
from plimsoll.shutdown import JOBS, WEB, Ending

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest, Wire

_KEPT: Final = frozenset(
    {
        "type",
        "description",
        "format",
        "enum",
        "pattern",
        "default",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "maxProperties",
        "required",
    }
)
_DROPPED: Final = frozenset({"title", "additionalProperties", "properties", "items", "anyOf", "allOf", "$ref", "const"})


@dataclass(frozen=True, slots=True)
class Kind:
    """What a CRD says beyond its schema."""

    model: type[Wire]
    plural: str
    short: str
    columns: tuple[tuple[str, str, str, int], ...]
    """Heading, type, JSONPath, priority."""

    rules: dict[str, str] = field(default_factory=dict)
    """CEL expression on the spec → what it says when it is broken."""

    sums: tuple[Ending, ...] = ()
    """Deadlines of the spec that are refused when they add up to too much, with the sum."""

    object_rules: dict[str, str] = field(default_factory=dict)
    """Likewise on the whole object: its name, its spec and its status."""

    scale: bool = False


def _condition(type_: str, part: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{part}'


def _within(path: str) -> str:
    return f"!has({path}.autoscaling) || {path}.autoscaling.minReplicas <= {path}.autoscaling.maxReplicas"


def _bounds(part: str) -> str:
    return f"{part}: autoscaling.minReplicas is more than maxReplicas; lower it, or raise maxReplicas to it"


KINDS: Final = (
    Kind(
        model=ConnectionBudget,
        plural="connectionbudgets",
        short="cb",
        columns=(
            ("Ready", "string", _condition("Ready", "status"), 0),
            ("Usable", "integer", ".status.usable", 0),
            ("Claimed", "integer", ".status.claimed", 0),
            ("Free", "integer", ".status.free", 0),
            ("Load", "string", ".status.load", 0),
            ("Live", "integer", ".status.live", 0),
            ("Peak", "integer", ".status.peak", 1),
            ("Reason", "string", _condition("Ready", "reason"), 0),
            ("Message", "string", _condition("Ready", "message"), 1),
            ("Age", "date", ".metadata.creationTimestamp", 0),
        ),
        rules={
            "self.staleAfterSeconds >= 2 * self.probeIntervalSeconds": (
                "staleAfterSeconds: a reading must count for at least two probe intervals, or one missed probe stops"
                " all growth; raise it to 2 × probeIntervalSeconds or more"
            ),
            "self.allowedNamespaces.from == 'Selector' ? has(self.allowedNamespaces.selector)"
            " && self.allowedNamespaces.selector.matchLabels.size() > 0 : !has(self.allowedNamespaces.selector)": (
                "allowedNamespaces: from: Selector needs a selector with at least one label in matchLabels, and the"
                " others take none"
            ),
        },
    ),
    Kind(
        model=FastAPIService,
        plural="fastapiservices",
        short="fas",
        columns=(
            ("Ready", "string", _condition("Ready", "status"), 0),
            ("Fits", "string", _condition("BudgetGranted", "status"), 0),
            ("Pods", "string", ".status.readyPods", 0),
            ("Connections", "integer", ".status.plan.connections", 0),
            ("Granted", "integer", ".status.plan.granted", 0),
            ("Reason", "string", _condition("Ready", "reason"), 0),
            ("Message", "string", _condition("Ready", "message"), 1),
            ("Age", "date", ".metadata.creationTimestamp", 0),
        ),
        rules={
            "self.rollout.maxSurge + self.rollout.maxUnavailable > 0": (
                "rollout: maxSurge and maxUnavailable are both 0, so no pod could be replaced; set one of them to 1"
            ),
            _within("self.web"): _bounds("web"),
            f"self.jobs.all(group, {_within('group')})": _bounds("jobs"),
            "!has(self.database.pool.minSize) || self.database.pool.minSize <= self.database.pool.size": (
                "database.pool: minSize is more than size; lower minSize, or raise size to it"
            ),
            "!has(self.web.service.nodePort) || self.web.service.type == 'NodePort'": (
                "web.service: nodePort is set but type is not NodePort; set type to NodePort or leave nodePort out"
            ),
            "self.pod.tolerations.all(t, (t.operator == 'Equal' ? has(t.key) : !has(t.value))"
            " && (!has(t.tolerationSeconds) || (has(t.effect) && t.effect == 'NoExecute')))": (
                "pod.tolerations: operator Equal needs a key, Exists takes no value, and tolerationSeconds needs effect"
                " NoExecute; add the one or leave the other out"
            ),
            "self.envFrom.all(e, has(e.secretRef) != has(e.configMapRef))": (
                "envFrom: each entry names one Secret or one ConfigMap; set either secretRef or configMapRef"
            ),
            f"self.env.all(e, !(e.name in {list(RESERVED_ENV)}))": (
                "env: this name carries the contract with the operator and is set by it "
                f"({', '.join(RESERVED_ENV)}); change the field that it comes from,"
                " or map it: MYAPP_POOL_SIZE: $(DB_POOL_SIZE)"
            ),
            "self.additionalDatabases.all(d, self.env.all(e,"
            " !e.name.startsWith(d.name.upperAscii().replace('-', '_') + '_D') ||"
            " !e.name.matches('_(DATABASE_URL|DB_POOL_SIZE|DB_MAX_OVERFLOW)$')))": (
                "env: NAME_DATABASE_URL, NAME_DB_POOL_SIZE and NAME_DB_MAX_OVERFLOW of an additional database are set"
                " by the operator; change the field that they come from, or map them:"
                " MYAPP_POOL_SIZE: $(ORDERS_DB_POOL_SIZE)"
            ),
        },
        sums=(WEB, JOBS),
        object_rules={
            "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')": (
                "metadata.name: it names a Service and labels pods, so it must be at most 63 lower-case letters, digits"
                " and hyphens, begin with a letter and not end with a hyphen"
            ),
        },
        scale=True,
    ),
)


def schema_of(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Turns one node of a pydantic JSON schema into a structural schema.

    Args:
        node: the node; ``$ref`` is resolved in place, since a CRD has no definitions.
        definitions: the ``$defs`` of the whole schema.

    Raises:
        ValueError: the node uses something that a structural schema cannot say.
    """
    if "$ref" in node:
        referred = definitions[node["$ref"].rsplit("/", 1)[-1]]
        node = {**referred, **{key: value for key, value in node.items() if key != "$ref"}}
    if node.get("x-kubernetes-preserve-unknown-fields"):
        return {
            key: value for key, value in node.items() if key in _KEPT - {"default"} or key.startswith("x-kubernetes-")
        }
    if "anyOf" in node:  # Optional: the field may be left out, so the null branch says nothing
        branches = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
        if len(branches) != 1:
            raise ValueError(f"a union cannot be said in a structural schema: {node['anyOf']}")
        rest = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
        return schema_of({**branches[0], **rest}, definitions)
    unknown = [key for key in node if key not in _KEPT | _DROPPED and not key.startswith("x-kubernetes-")]
    if unknown:
        raise ValueError(f"no rule for {unknown} in {node}")
    result = {key: value for key, value in node.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if "description" in result:
        result["description"] = " ".join(result["description"].replace("``", "'").split())
    if "properties" in node:
        result["properties"] = _properties(node, definitions)
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = schema_of(node["additionalProperties"], definitions)
    if "items" in node:
        result["items"] = schema_of(node["items"], definitions)
    return result


def _properties(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    properties = {name: schema_of(child, definitions) for name, child in node["properties"].items()}
    for name, child in node["properties"].items():
        # A part that may be left out still has its own defaults: they apply to an object, so it must be there.
        if name not in node.get("required", ()) and "$ref" in child and "properties" in properties[name]:
            properties[name]["default"] = {}
    return properties


def _validations(rules: dict[str, str]) -> list[Manifest]:
    return [{"rule": rule, "message": message} for rule, message in rules.items()]


def crd(kind: Kind) -> Manifest:
    """The CustomResourceDefinition of ``kind``."""
    document = kind.model.model_json_schema(by_alias=True, mode="validation")
    definitions = document.get("$defs", {})
    properties = {part: schema_of(document["properties"][part], definitions) for part in ("spec", "status")}
    sums = [{"rule": each.rule(), "messageExpression": each.message()} for each in kind.sums]
    if kind.rules:
        properties["spec"]["x-kubernetes-validations"] = [*_validations(kind.rules), *sums]
    # A new object without any condition counts as ready for kstatus; this default says that nobody has looked yet.
    properties["status"]["default"] = {"observedGeneration": -1}
    name = kind.model.__name__
    subresources: Manifest = {"status": {}}
    if kind.scale:
        subresources["scale"] = {
            "specReplicasPath": ".spec.web.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": kind.plural,
                "singular": name.lower(),
                "shortNames": [kind.short],
                "categories": ["plimsoll"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "additionalPrinterColumns": [
                        {"name": heading, "type": type_, "jsonPath": path}
                        | ({"priority": priority} if priority else {})
                        for heading, type_, path, priority in kind.columns
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": (kind.model.__doc__ or "").strip(),
                            "required": ["spec"],
                            **(
                                {"x-kubernetes-validations": _validations(kind.object_rules)}
                                if kind.object_rules
                                else {}
                            ),
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                **properties,
                            },
                        }
                    },
                }
            ],
        },
    }


def documents() -> str:
    """All CRDs as one YAML stream, as committed in the chart."""
    return "---\n".join(yaml.safe_dump(crd(kind), sort_keys=False, width=120, allow_unicode=True) for kind in KINDS)


if __name__ == "__main__":
    print(documents(), end="")  # noqa: T201 - printing them is what this command is for
