"""The Kubernetes API, as much of it as the operator uses; the only module that knows the client library.

Objects go in and out as plain manifests. Errors of the library become ours once, here. Server-side apply is always
forced and always under one field manager: it is only ever used on children that the operator renders in full.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import yaml
from kubernetes.aio import client, config
from plimsoll.api.meta import GROUP, VERSION
from plimsoll.errors import Conflict, Forbidden, NotFound, PlimsollError, Terminal, Unavailable
from plimsoll.render.names import FIELD_MANAGER

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest, Metadata

_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Resource:
    """Where objects of one kind live in the API."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As manifests write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The URL path of one object, of a namespace's objects, or of all."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


RESOURCES: Final = {
    "ConnectionBudget": Resource(GROUP, VERSION, "connectionbudgets"),
    "ConfigMap": Resource("", "v1", "configmaps"),
    "Deployment": Resource("apps", "v1", "deployments"),
    "FastAPIService": Resource(GROUP, VERSION, "fastapiservices"),
    "Event": Resource("", "v1", "events"),
    "HorizontalPodAutoscaler": Resource("autoscaling", "v2", "horizontalpodautoscalers"),
    "Job": Resource("batch", "v1", "jobs"),
    "Namespace": Resource("", "v1", "namespaces", namespaced=False),
    "Pod": Resource("", "v1", "pods"),
    "PodDisruptionBudget": Resource("policy", "v1", "poddisruptionbudgets"),
    "PriorityClass": Resource("scheduling.k8s.io", "v1", "priorityclasses", namespaced=False),
    "ReplicaSet": Resource("apps", "v1", "replicasets"),
    "ResourceQuota": Resource("", "v1", "resourcequotas"),
    "Secret": Resource("", "v1", "secrets"),
    "Service": Resource("", "v1", "services"),
    "ValidatingAdmissionPolicyBinding": Resource(
        "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", namespaced=False
    ),
}
"""Every kind that the operator touches."""


class Cluster:
    """A connection to the API server."""

    def __init__(self, api: client.ApiClient, *, namespaces: tuple[str, ...] = ()) -> None:
        self._api = api
        self._namespaces = namespaces

    @classmethod
    async def connect(cls, *, namespaces: tuple[str, ...] = (), kubeconfig: str | None = None) -> Self:
        """Connects as the pod's service account, or as the current context of a kubeconfig outside a cluster.

        Args:
            namespaces: what "everywhere" means; empty for the whole cluster.
            kubeconfig: a file to be used outside a cluster, instead of $KUBECONFIG or ~/.kube/config.
        """
        configuration = client.Configuration()
        try:
            config.load_incluster_config(  # type: ignore[no-untyped-call] # the library has no types here
                client_configuration=configuration
            )
        except config.ConfigException:
            # the library looks at $KUBECONFIG once, when it is imported
            files = kubeconfig or os.environ.get("KUBECONFIG") or config.KUBE_CONFIG_DEFAULT_LOCATION
            return cls(await _outside(files, configuration), namespaces=namespaces)
        return cls(client.ApiClient(configuration), namespaces=namespaces)

    async def close(self) -> None:
        """Closes all connections."""
        await self._api.close()  # type: ignore[no-untyped-call] # likewise

    async def get(self, kind: str, namespace: str, name: str) -> Manifest:
        """Reads one object.

        Raises:
            NotFound: there is none of that name.
        """
        return await self._request("GET", RESOURCES[kind].path(namespace, name))

    async def get_metadata(self, kind: str, namespace: str, name: str) -> Manifest:
        """Reads the metadata of one object; its content stays on the server.

        Raises:
            NotFound: there is none of that name.
        """
        answer = await self._request("GET", RESOURCES[kind].path(namespace, name), accept=_METADATA)
        return dict(answer["metadata"])

    async def list(
        self, kind: str, *, namespace: str | None = None, labels: dict[str, str] | None = None
    ) -> list[Manifest]:
        """Reads all objects that carry ``labels``, page by page; each gets back what a list omits."""
        if namespace is None and self._namespaces and RESOURCES[kind].namespaced:
            lists = [await self.list(kind, namespace=each, labels=labels) for each in self._namespaces]
            return [each for found in lists for each in found]
        query = {"limit": str(_PAGE)}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        items: list[Manifest] = []
        while True:
            page = await self._request("GET", RESOURCES[kind].path(namespace), query=query)
            items += [{"apiVersion": RESOURCES[kind].api_version, "kind": kind, **item} for item in page["items"]]
            if not (token := page["metadata"].get("continue")):
                return items
            query["continue"] = token

    async def apply(self, manifest: Manifest) -> Manifest:
        """Creates or changes an object by server-side apply, and returns what it became."""
        meta = manifest["metadata"]
        path = RESOURCES[manifest["kind"]].path(meta.get("namespace"), meta["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._request("PATCH", path, query=query, body=manifest, content_type=_APPLY)

    async def overwrite(self, manifest: Manifest) -> Manifest:
        """Writes a whole object in the place of the one that was read.

        Raises:
            Conflict: it has been changed since.
        """
        meta = manifest["metadata"]
        path = RESOURCES[manifest["kind"]].path(meta.get("namespace"), meta["name"])
        return await self._request("PUT", path, query={"fieldManager": FIELD_MANAGER}, body=manifest)

    async def create(self, manifest: Manifest) -> Manifest:
        """Creates an object that nobody keeps up to date, such as an event."""
        path = RESOURCES[manifest["kind"]].path(manifest["metadata"].get("namespace"))
        return await self._request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=manifest)

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """Deletes an object, and in the background what it owns; one that is gone already is fine."""
        try:
            await self._request(
                "DELETE", RESOURCES[kind].path(namespace, name), query={"propagationPolicy": "Background"}
            )
        except NotFound:
            return

    async def replace_status(self, manifest: Manifest) -> Manifest:
        """Writes the status of exactly the object that was read.

        Raises:
            Conflict: it has been changed since.
        """
        meta = manifest["metadata"]
        path = RESOURCES[manifest["kind"]].path(meta["namespace"], meta["name"]) + "/status"
        return await self._request("PUT", path, query={"fieldManager": FIELD_MANAGER}, body=manifest)

    async def merge_status(self, meta: Metadata, kind: str, status: Manifest) -> Manifest:
        """Writes a status that nobody else writes, whatever else has changed in the object.

        Raises:
            Conflict: the object was deleted, and another one has its name.
        """
        path = RESOURCES[kind].path(meta.namespace, meta.name) + "/status"
        query = {"fieldManager": FIELD_MANAGER}
        body = {"metadata": {"uid": meta.uid}, "status": status}
        return await self._request("PATCH", path, query=query, body=body, content_type=_MERGE)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Manifest:
        arguments = await self._api.param_serialize(
            method=method,
            resource_path=path,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = await self._api.call_api(*arguments, _request_timeout=30)
            content = await response.read()  # type: ignore[no-untyped-call] # likewise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"The API server cannot be reached: {str(error) or type(error).__name__}.") from error
        except client.ApiException as error:
            raise _converted(error.status or 0, method, path, error.body or "") from error
        if not 200 <= response.status < 300:
            raise _converted(response.status, method, path, content.decode(errors="replace"))
        answer: Any = json.loads(content)
        return dict(answer)


async def _outside(files: str, configuration: client.Configuration) -> client.ApiClient:
    """A client for the current context of a kubeconfig, or of several with the path separator between them."""
    if not _is_there(files):
        raise Unavailable(f"There is no cluster to talk to: the kubeconfig {files} is not there; set KUBECONFIG.")
    try:
        await config.load_kube_config(  # type: ignore[no-untyped-call] # likewise
            config_file=files, client_configuration=configuration
        )
        return client.ApiClient(configuration)
    except Exception as error:  # noqa: BLE001 - the library does not check a kubeconfig, but trips over what is wrong
        raise Unavailable(f"There is no cluster to talk to: the kubeconfig {files} {_fault(error)}.") from None


def _is_there(files: str) -> bool:
    return any(Path(each).expanduser().exists() for each in files.split(os.pathsep) if each)


def _fault(error: Exception) -> str:
    """What is wrong with a kubeconfig; never what it holds, which are credentials."""
    match error:
        case config.ConfigException():
            return f"cannot be used: {str(error).rstrip('.')}"
        case yaml.MarkedYAMLError(problem_mark=yaml.Mark() as mark):
            return f"is not YAML: correct line {mark.line + 1}"
        case yaml.YAMLError() | UnicodeDecodeError():
            return "is not YAML"
        case OSError(filename=name, strerror=words) if words:
            return f"cannot be used: {name}: {words}" if name else f"cannot be used: {words}"
        case _:
            return "is empty, or not of a kubeconfig's form"


def _converted(status: int, method: str, path: str, body: str) -> PlimsollError:
    """The API server's refusal as one of our errors, in its own words."""
    try:
        words = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        words = body[:200] or "no further words"
    sentence = f"{method} {path}: {status}: {words}"
    match status:
        case 404:
            return NotFound(sentence)
        case 409:
            return Conflict(sentence)
        case 403:
            return Forbidden(sentence)
        case 400 | 422:
            return Terminal(sentence)
        case 500 if "quantities must match" in words:  # what server-side apply answers to a quantity that is none
            return Terminal(sentence)
        case _:
            return Unavailable(sentence)
