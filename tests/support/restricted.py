"""The restricted Pod Security Standard, as far as our pods could miss it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def problems(pod: Manifest) -> list[str]:
    """What the API server would refuse in a namespace that enforces ``restricted``, and what we ask for beyond that."""
    found = []
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True:
        found.append("the pod may run as root")
    if security.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        found.append("the pod has no seccomp profile")
    found += [f"the pod sets {each}" for each in ("hostNetwork", "hostPID", "hostIPC") if pod.get(each)]
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            found.append(f"volume {volume['name']} is of a kind that is not allowed")
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        name, own = container["name"], container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name} may escalate")
        if own.get("capabilities", {}).get("drop") != ["ALL"]:
            found.append(f"{name} keeps capabilities")
        if own.get("readOnlyRootFilesystem") is not True:
            found.append(f"{name} may write to its root file system")
        found += [f"{name} sets {each}" for each in ("privileged", "procMount") if own.get(each)]
        found += [f"{name} binds a host port" for port in container.get("ports", []) if port.get("hostPort")]
    return found
