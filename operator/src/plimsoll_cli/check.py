"""From documents to the models of the core, or one sentence: which document and field, what is wrong, how to mend it.

Second step of ``plan``. A document is held to what the API server would hold it to: the models (strictly: "3" is no
number), the rules of ``rules.py``, and the schema of the CRD, by which unknown fields are pruned with a warning.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.crd import crd
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.api.kinds import KINDS
from plimsoll.api.meta import API_VERSION, GROUP
from pydantic import ValidationError

from plimsoll_cli.invalid import sentence, shown
from plimsoll_cli.rules import broken
from plimsoll_cli.source import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from plimsoll.api.kinds import Kind
    from plimsoll.api.meta import BudgetKey, Manifest

    from plimsoll_cli.source import Document

_KINDS: Final = {kind.model.__name__: kind for kind in KINDS}
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """What counts of the input, in its order.

    Attributes:
        budgets: its budgets.
        services: its services.
        labels: labels of its namespaces, by which a budget may allow them.
        places: budgets and services → where they were found, for sentences about them.
        warnings: what the API server would drop without refusing.
    """

    budgets: tuple[ConnectionBudget, ...] = ()
    services: tuple[FastAPIService, ...] = ()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    places: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def checked(documents: Iterable[Document], *, namespace: str) -> Input:
    """The input as models; objects without a namespace are in ``namespace``. Other kinds are skipped.

    Raises:
        BadInput: an object is not valid, or is there twice.
    """
    found: dict[tuple[str, str, str], str] = {}
    budgets: list[ConnectionBudget] = []
    services: list[FastAPIService] = []
    labels: dict[str, Mapping[str, str]] = {}
    warnings: list[str] = []
    for document in documents:
        if document.kind == "Namespace":
            labels |= _labels_of(document.manifest)
        if (kind := _kind_of(document)) is None:
            continue
        model, said = _model(document, kind, namespace=namespace)
        warnings += said
        where = (document.kind, model.metadata.namespace, model.metadata.name)
        if where in found:
            raise BadInput(
                f"{document.place}: {_title(where)} is in the input twice, first in {found[where]}; remove one of them."
            )
        found[where] = document.place
        if isinstance(model, ConnectionBudget):
            budgets.append(model)
        else:
            services.append(model)
    return Input(
        budgets=tuple(budgets), services=tuple(services), labels=labels, places=found, warnings=tuple(warnings)
    )


def check_references(given: Input, *, known: Iterable[BudgetKey], live: bool) -> None:
    """Whether every budget that a service of the input names is known.

    Raises:
        BadInput: one is not.
    """
    names = {str(key) for key in known}
    for service in given.services:
        spec, meta = service.spec, service.metadata
        refs = [("spec.database.budgetRef", spec.database.budget_ref)]
        refs += [
            (f"spec.additionalDatabases[{index}].budgetRef", each.budget_ref)
            for index, each in enumerate(spec.additional_databases)
        ]
        for path, ref in refs:
            key = str(service.key_of(ref))
            if key in names:
                continue
            fix = "add its manifest" if live else "add its manifest, or use --live to read it from the cluster"
            if near := get_close_matches(key, sorted(names), n=1):
                fix = f"did you mean {near[0]}? Otherwise {fix}"
            where = ("FastAPIService", meta.namespace, meta.name)
            there = "the input or the cluster" if live else "the input"
            raise BadInput(
                f"{given.places[where]}: {_title(where)}: {path} names budget {key}, which is not in {there}; {fix}."
            )


def _kind_of(document: Document) -> Kind | None:
    version = str(document.manifest.get("apiVersion", ""))
    if version.partition("/")[0] != GROUP:
        return None
    if document.kind not in _KINDS:
        near = get_close_matches(document.kind, _KINDS, n=1)
        fix = f"did you mean {near[0]}?" if near else f"there are {' and '.join(_KINDS)}."
        raise BadInput(f"{document.place}: kind: {GROUP} has no kind {document.kind or 'without a name'}; {fix}")
    if version != API_VERSION:
        raise BadInput(f"{document.place}: apiVersion: {version} is not known; write {API_VERSION}.")
    return _KINDS[document.kind]


def _model(
    document: Document, kind: Kind, *, namespace: str
) -> tuple[ConnectionBudget | FastAPIService, tuple[str, ...]]:
    """The object as a new one, without what a cluster has said of it; and what is to be warned of."""
    raw = document.manifest
    meta = raw.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(name, str) or not _NAME.fullmatch(name):
        said, fix = (
            "is missing" if name is None else f"{shown(name)} is no name",
            "lower-case letters, digits and hyphens",
        )
        if isinstance(name, bool | int | float):
            said, fix = f"{shown(name)} is not text", f'quotes around it: "{shown(name)}"'
        raise BadInput(f"{document.place}: {document.kind}: metadata.name {said}; use {fix}.")
    home = meta.get("namespace") or namespace
    title = f"{document.place}: {_title((document.kind, str(home), name))}"
    schema = _schema(document.kind)
    strangers = tuple(_strangers({**raw, "status": {}, "metadata": {}}, schema, path=""))
    warnings = tuple(f"{title}: {each}" for each in strangers)
    kept: Manifest = {"metadata": {**_kept(meta), "namespace": home}}
    if "spec" in raw:
        kept["spec"] = raw["spec"]
    try:
        model = kind.model.model_validate_json(json.dumps(kept, default=str), strict=True)
    except ValidationError as error:
        raise BadInput(f"{title}: {sentence(error, strangers=strangers)}") from None
    if doubled := next(_doubled(kept.get("spec"), schema["properties"]["spec"], path="spec"), ""):
        raise BadInput(f"{title}: {doubled}")
    if said := broken(model, kind):
        raise BadInput(f"{title}: {said}.")
    assert isinstance(model, ConnectionBudget | FastAPIService)  # noqa: S101 - the two kinds there are, for the types
    return model, warnings


@cache
def _schema(kind: str) -> Manifest:
    schema: Manifest = crd(_KINDS[kind])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _kept(meta: Manifest) -> Manifest:
    """The name is the file's; uid, generation and what else a cluster adds belong to one object that was read there."""
    return {"name": meta["name"]}


def _labels_of(manifest: Manifest) -> dict[str, dict[str, str]]:
    meta = manifest.get("metadata") or {}
    return {str(meta.get("name")): {str(key): str(value) for key, value in (meta.get("labels") or {}).items()}}


def _strangers(node: Any, schema: Manifest, *, path: str) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """The fields that the schema does not know, which the API server drops."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    known = schema.get("properties", {})
    if isinstance(node, dict) and known:
        for key, value in node.items():
            where = f"{path}.{key}".lstrip(".")
            if key in known:
                yield from _strangers(value, known[key], path=where)
            else:
                near = get_close_matches(str(key), known, n=1, cutoff=0.5)
                fix = f"did you mean {near[0]}?" if near else f"known there: {', '.join(known)}."
                yield f"{where} is not known and will be ignored; {fix}"
    if isinstance(node, list) and "items" in schema:
        for index, value in enumerate(node):
            yield from _strangers(value, schema["items"], path=f"{path}[{index}]")


def _doubled(node: Any, schema: Manifest, *, path: str) -> Iterator[str]:  # noqa: ANN401 - likewise
    """Items of a list that must differ in their name and do not."""
    for key, child in schema.get("properties", {}).items():
        items = node.get(key) if isinstance(node, dict) else None
        if isinstance(items, list) and (by := child.get("x-kubernetes-list-map-keys")):
            names = [each[by[0]] for each in items]
            if twice := next((name for name in names if names.count(name) > 1), None):
                yield f"{path}.{key}: {by[0]} {twice} is there twice; give each its own."
        yield from _doubled(items, child, path=f"{path}.{key}")


def _title(where: tuple[str, str, str]) -> str:
    kind, namespace, name = where
    return f"{kind} {namespace}/{name}"
