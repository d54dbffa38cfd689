"""A twin of the API server in memory: as much of it as the operator's cluster client uses.

It keeps what matters to the operator's promises: resourceVersions and their conflicts, generations, 404s, label
selectors, the status subresource, and server-side apply with one field manager (a field that is no longer applied goes,
a field of somebody else stays, lists with names are merged by name). Stored objects are never changed in place.

Every call first passes ``gate``, where a test may hold it, fail it, or end the operator's life.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plimsoll.api.meta import API_VERSION, Manifest, Metadata
from plimsoll.errors import Conflict, NotFound
from plimsoll.render.names import FIELD_MANAGER
from plimsoll_operator.cluster import RESOURCES, Cluster
from support.builders import uid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

Ref = tuple[str, str, str]
"""Kind, namespace and name."""

_MERGED_BY = {"env": "name", "containers": "name", "volumes": "name", "ownerReferences": "uid", "conditions": "type"}
"""The lists that server-side apply merges, and by which key; all others it replaces."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the operator to the API server."""

    verb: str
    kind: str
    namespace: str
    name: str

    @property
    def writes(self) -> bool:
        return self.verb not in {"get", "list"}

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.namespace}/{self.name}"


async def _open(_: Call) -> None:
    """A gate that lets everything through."""


class MemoryCluster(Cluster):
    """The twin."""

    def __init__(self) -> None:
        self.objects: dict[Ref, Manifest] = {}
        self.gate: Callable[[Call], Awaitable[None]] = _open
        self.on_change: Callable[[Manifest | None, Manifest | None], None] = lambda before, after: None
        self.calls: list[Call] = []
        self.told: list[Manifest] = []
        """Events, which nobody reads back."""
        self._applied: dict[Ref, Manifest] = {}
        self._version = 0
        self._uids = 1000

    # ---- what the operator calls

    async def get(self, kind: str, namespace: str, name: str) -> Manifest:
        await self._pass("get", kind, namespace, name)
        if kind == "Namespace" and (kind, "", name) not in self.objects:
            return {"kind": kind, "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}
        return self.read(kind, namespace, name)

    async def get_metadata(self, kind: str, namespace: str, name: str) -> Manifest:
        await self._pass("get", kind, namespace, name)
        meta: Manifest = self.read(kind, namespace, name)["metadata"]
        return meta

    async def list(
        self, kind: str, *, namespace: str | None = None, labels: dict[str, str] | None = None
    ) -> list[Manifest]:
        await self._pass("list", kind, namespace or "", "")
        return [
            each
            for each in self.of_kind(kind, namespace=namespace)
            if (labels or {}).items() <= each["metadata"].get("labels", {}).items()
        ]

    async def apply(self, manifest: Manifest) -> Manifest:
        await self._pass("apply", *_ref(manifest))
        return self.store_applied(manifest)

    async def overwrite(self, manifest: Manifest) -> Manifest:
        await self._pass("overwrite", *_ref(manifest))
        return self.store_overwritten(manifest)

    async def create(self, manifest: Manifest) -> Manifest:
        await self._pass("create", *_ref(manifest))
        self.told.append(manifest)
        return manifest

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        await self._pass("delete", kind, namespace, name)
        self.remove(kind, namespace, name)

    async def replace_status(self, manifest: Manifest) -> Manifest:
        kind, namespace, name = _ref(manifest)
        await self._pass("replace_status", kind, namespace, name)
        live = self.read(kind, namespace, name)
        if live["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise Conflict(f"{kind} {namespace}/{name} has been changed since it was read")
        return self.put({**live, "status": manifest["status"]})

    async def merge_status(self, meta: Metadata, kind: str, status: Manifest) -> Manifest:
        await self._pass("merge_status", kind, meta.namespace, meta.name)
        live = self.read(kind, meta.namespace, meta.name)
        if live["metadata"]["uid"] != meta.uid:
            raise Conflict(f"{kind} {meta.namespace}/{meta.name} is another object by now")
        return self.put({**live, "status": _merged(live.get("status", {}), status)})

    async def close(self) -> None:
        """Nothing to close."""

    # ---- what everybody else does to the objects

    def read(self, kind: str, namespace: str, name: str) -> Manifest:
        """One object.

        Raises:
            NotFound: there is none of that name.
        """
        try:
            return self.objects[_scoped(kind, namespace, name)]
        except KeyError:
            raise NotFound(f"{kind} {namespace}/{name} not found") from None

    def of_kind(self, kind: str, *, namespace: str | None = None) -> Iterator[Manifest]:
        """All objects of a kind, of one namespace or of all."""
        for (each, where, _), manifest in list(self.objects.items()):
            if each == kind and (namespace is None or where in {namespace, ""}):
                yield manifest

    def put(self, manifest: Manifest) -> Manifest:
        """Stores an object as the API server does: a new resourceVersion, and a new generation for a new spec."""
        ref = _ref(manifest)
        before = self.objects.get(ref)
        self._version += 1
        meta = {**manifest["metadata"], "resourceVersion": str(self._version)}
        if before is None:
            meta.setdefault("uid", self.new_uid())
            meta["generation"] = 1
            if manifest.get("apiVersion") == API_VERSION and "status" not in manifest:
                manifest = {**manifest, "status": {"observedGeneration": -1}}
        elif meta.get("uid") != before["metadata"]["uid"]:
            raise AssertionError(f"{ref} exists already")
        elif manifest.get("spec") != before.get("spec"):
            meta["generation"] = before["metadata"]["generation"] + 1
        stored = {**manifest, "metadata": meta}
        self.objects[ref] = stored
        self.on_change(before, stored)
        return stored

    def store_applied(self, manifest: Manifest) -> Manifest:
        """Server-side apply."""
        ref = _ref(manifest)
        before = self.objects.get(ref)
        merged: Manifest = _applied(before or {}, manifest, self._applied.get(ref, {}))
        if manifest["kind"] == "Deployment":
            merged = _with_replicas(merged, before=before, wanted=manifest)
        self._applied[ref] = manifest
        return self.put(merged) if merged != before else merged

    def store_overwritten(self, manifest: Manifest) -> Manifest:
        """A PUT of the whole object, but for its status.

        Raises:
            Conflict: it has been changed since it was read.
        """
        kind, namespace, name = _ref(manifest)
        live = self.read(kind, namespace, name)
        if live["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise Conflict(f"{kind} {namespace}/{name} has been changed since it was read")
        kept = {key: value for key, value in live.items() if key not in manifest}
        return self.put({**kept, **manifest})

    def edit(self, kind: str, namespace: str, name: str, change: Callable[[Manifest], Manifest]) -> Manifest:
        """Replaces an object by what ``change`` makes of it."""
        return self.put(change(self.read(kind, namespace, name)))

    def edit_spec(self, kind: str, namespace: str, name: str, **spec: Any) -> Manifest:
        """Sets fields of a spec."""
        return self.edit(kind, namespace, name, lambda old: {**old, "spec": {**old["spec"], **spec}})

    def edit_status(self, kind: str, namespace: str, name: str, **status: Any) -> Manifest:
        """Sets fields of a status."""
        return self.edit(kind, namespace, name, lambda old: {**old, "status": {**old.get("status", {}), **status}})

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Removes an object at once, and nothing that it owns; one that is gone already is fine."""
        ref = _scoped(kind, namespace, name)
        self._applied.pop(ref, None)
        if (before := self.objects.pop(ref, None)) is not None:
            self.on_change(before, None)

    def new_uid(self) -> str:
        """A uid that no object has had."""
        self._uids += 1
        return uid(self._uids)

    async def _pass(self, verb: str, kind: str, namespace: str, name: str) -> None:
        call = Call(verb, kind, namespace, name)
        self.calls.append(call)
        await self.gate(call)


def _scoped(kind: str, namespace: str, name: str) -> Ref:
    resource = RESOURCES.get(kind)
    return kind, "" if resource is not None and not resource.namespaced else namespace, name


def _ref(manifest: Manifest) -> Ref:
    meta = manifest["metadata"]
    return _scoped(manifest["kind"], meta.get("namespace", ""), meta["name"])


def _merged(live: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    base = live if isinstance(live, dict) else {}
    merged = {**base, **{key: _merged(base.get(key), value) for key, value in patch.items() if value is not None}}
    return {key: value for key, value in merged.items() if not (key in patch and patch[key] is None)}


def _with_replicas(merged: Manifest, *, before: Manifest | None, wanted: Manifest) -> Manifest:
    """A Deployment's replicas, of which an autoscaler may be an owner too.

    An apply that names another number takes the field; one that leaves it out leaves it to the autoscaler, and where
    there is none the field goes and the API server fills in its default.
    """
    meta = {key: value for key, value in merged["metadata"].items() if key != "managedFields"}
    others = [each for each in merged["metadata"].get("managedFields", []) if each["manager"] != FIELD_MANAGER]
    asked, live = wanted["spec"].get("replicas"), (before or {}).get("spec", {}).get("replicas")
    if asked is not None:
        replicas, others = asked, others if asked == live else []
    else:
        replicas = live if others else 1
    if others:
        meta["managedFields"] = others
    return {**merged, "metadata": meta, "spec": {**merged["spec"], "replicas": replicas}}


def _applied(live: Any, wanted: Any, before: Any, key: str = "") -> Any:
    """``live`` after ``wanted`` was applied by the manager that had applied ``before``."""
    if isinstance(wanted, dict):
        base = live if isinstance(live, dict) else {}
        old = before if isinstance(before, dict) else {}
        kept = {name: value for name, value in base.items() if name in wanted or name not in old}
        return kept | {name: _applied(base.get(name), value, old.get(name), name) for name, value in wanted.items()}
    if isinstance(wanted, list) and key in _MERGED_BY:
        by = _MERGED_BY[key]
        base_items = {each[by]: each for each in (live if isinstance(live, list) else [])}
        old_items = {each[by]: each for each in (before if isinstance(before, list) else [])}
        names = {each[by] for each in wanted}
        ours = [_applied(base_items.get(each[by]), each, old_items.get(each[by])) for each in wanted]
        return ours + [each for name, each in base_items.items() if name not in names and name not in old_items]
    return wanted
