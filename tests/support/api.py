"""The Kubernetes API over HTTP, thinly wrapped, for tests that ask thousands of questions: no kubectl in between.

    api.create(manifest, dry=True)      an Answer: what the API server says, and whether it took it
    api.apply(manifest)                 server-side apply
    api.replace(manifest), api.set_status(manifest, status), api.scale(manifest, replicas), api.delete(manifest)

Every write returns an Answer, and none raises; `must()` turns a refusal into an error.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import httpx2
import yaml
from plimsoll_operator.cluster import RESOURCES, Resource
from support.eventually import eventually

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_KINDS: Final = RESOURCES | {
    "Node": Resource("", "v1", "nodes", namespaced=False),
    "CustomResourceDefinition": Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False),
    "ValidatingAdmissionPolicy": Resource(
        "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", namespaced=False
    ),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said."""

    code: int
    body: Manifest

    @property
    def taken(self) -> bool:
        return 200 <= self.code < 300

    @property
    def words(self) -> str:
        """The message of a refusal; empty where there is none."""
        return "" if self.taken else str(self.body.get("message", self.body))

    def must(self) -> Manifest:
        """The object, as it has become."""
        if not self.taken:
            raise AssertionError(f"{self.code}: {self.words}")
        return self.body


class Api:
    """One API server, as the current context of a kubeconfig names it; may be used by several threads."""

    def __init__(self, kubeconfig: Path, *, own: bool = False) -> None:
        self.kubeconfig, self.own = kubeconfig, own
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config, "context", config["current-context"])
        cluster, user = _named(config, "cluster", context["cluster"]), _named(config, "user", context["user"])
        tls = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
        if certificate := _text(user, "client-certificate"):
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
                pair.write(certificate + _text(user, "client-key"))
                pair.flush()
                tls.load_cert_chain(pair.name)
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self.http = httpx2.Client(base_url=cluster["server"], verify=tls, headers=headers, timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, kind: str, name: str, namespace: str = "") -> Answer:
        return self._send("GET", _KINDS[kind].path(namespace, name))

    def create(self, manifest: Manifest, *, dry: bool = False) -> Answer:
        return self._send("POST", _path(manifest, named=False), manifest, dry=dry)

    def replace(self, manifest: Manifest, *, dry: bool = False) -> Answer:
        return self._send("PUT", _path(manifest), manifest, dry=dry)

    def apply(self, manifest: Manifest, *, dry: bool = False) -> Answer:
        """Server-side apply; dry, it is what `kubectl diff --server-side` asks."""
        query = {"fieldManager": "test", "force": "true"}
        return self._send("PATCH", _path(manifest), manifest, dry=dry, content_type=_APPLY, **query)

    def merge(self, manifest: Manifest, change: Manifest, *, sub: str = "", dry: bool = False) -> Answer:
        """A JSON merge patch of an object, or of a subresource of it."""
        return self._send("PATCH", _path(manifest) + sub, change, dry=dry, content_type=_MERGE)

    def set_status(self, manifest: Manifest, status: Manifest) -> Answer:
        return self.merge(manifest, {"status": status}, sub="/status")

    def scale(self, manifest: Manifest, replicas: int) -> Answer:
        """What `kubectl scale` does."""
        return self.merge(manifest, {"spec": {"replicas": replicas}}, sub="/scale")

    def delete(self, manifest: Manifest, *, grace_seconds: int | None = None) -> Answer:
        options = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        return self._send("DELETE", _path(manifest), options or None)

    def bind(self, pod: Manifest, node: str) -> Answer:
        """What the scheduler does."""
        meta = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": meta, "target": {"kind": "Node", "name": node}}
        return self._send("POST", _path({"kind": "Pod", "metadata": meta}) + "/binding", body)

    def list(self, kind: str, namespace: str | None = None) -> list[Manifest]:
        """All objects of a kind, in a namespace or in all."""
        return list(self._send("GET", _KINDS[kind].path(namespace)).must()["items"])

    def define(self, crd: Manifest) -> None:
        """Applies a CRD, and waits until objects of its kind can be written, which takes a moment."""
        self.apply(crd).must()
        path = _KINDS[crd["spec"]["names"]["kind"]].path(None)
        eventually(lambda: self._send("GET", path).taken, within=30)

    def _send(
        self,
        method: str,
        path: str,
        body: Any = None,  # any JSON
        *,
        dry: bool = False,
        content_type: str = "application/json",
        **query: str,
    ) -> Answer:
        parameters = query | ({"dryRun": "All"} if dry else {})
        answer = self.http.request(method, path, params=parameters, json=body, headers={"Content-Type": content_type})
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        # Of a kind that is not served yet it says so in plain text.
        return Answer(answer.status_code, answer.json() if is_json else {"message": answer.text})


def _path(manifest: Manifest, *, named: bool = True) -> str:
    meta = manifest["metadata"]
    return _KINDS[manifest["kind"]].path(meta.get("namespace"), meta["name"] if named else None)


def _named(config: Manifest, kind: str, name: str) -> Manifest:
    return next(dict(each[kind]) for each in config[f"{kind}s"] if each["name"] == name)


def _text(part: Manifest, field: str) -> str:
    """A certificate or key: written into the kubeconfig, in a file that it names, or not there."""
    if data := part.get(f"{field}-data"):
        return base64.b64decode(data).decode()
    return Path(part[field]).read_text() if field in part else ""
