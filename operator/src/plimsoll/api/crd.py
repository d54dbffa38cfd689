"""From the pydantic models to CustomResourceDefinitions.

``python -m plimsoll.api.crd`` prints them; ``make generate`` writes them into the chart, and a test fails when the
committed file differs. The translation handles exactly what the models use and refuses the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from plimsoll.api.kinds import KINDS
from plimsoll.api.meta import GROUP, VERSION

if TYPE_CHECKING:
    from plimsoll.api.kinds import Kind
    from plimsoll.api.meta import Manifest

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
