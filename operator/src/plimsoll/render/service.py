"""The Service in front of the web pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.api.workloads import ServiceType
from plimsoll.render.names import component, metadata, selector

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest


def service(owner: FastAPIService) -> Manifest:
    """The Service, under the FastAPIService's own name."""
    expose = owner.spec.web.service
    port: Manifest = {"name": "http", "port": expose.port, "targetPort": "http", "protocol": "TCP"}
    if expose.type is ServiceType.NODE_PORT and expose.node_port is not None:
        port["nodePort"] = expose.node_port
    part = component(None)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, name=owner.metadata.name, part=part),
        "spec": {"type": expose.type.value, "ports": [port], "selector": selector(owner, part)},
    }


def url(owner: FastAPIService) -> str:
    """Where the service is reached inside the cluster."""
    port = owner.spec.web.service.port
    return f"http://{owner.metadata.name}.{owner.metadata.namespace}.svc" + ("" if port == 80 else f":{port}")
