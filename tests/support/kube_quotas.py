"""Quota admission, for the model of a cluster in ``kube_world``.

The API server charges a pod to its quota by the quota's *status*, which follows its spec late; a pod whose
PriorityClass does not exist is refused. It charges a pod until it is gone, or has ended, or (and this is the hole)
until one more grace period has passed after its deletionTimestamp: then it forgets a pod that may be connected still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.kube_base import ENDED, GRACE_SECONDS, KubeBase, Move, later

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plimsoll.api.meta import Manifest


class Quotas(KubeBase):
    """The quota controller and the admission plugin."""

    may_forget: Callable[[Manifest], bool] = staticmethod(lambda _: False)
    """Whether the quota may forget this overdue pod now: a test knows who had the time to see it."""

    def _quotas(self) -> Iterator[Move]:
        for quota in self.cluster.of_kind("ResourceQuota"):
            hard = quota["spec"]["hard"]
            if quota.get("status", {}).get("hard") != hard:
                meta = quota["metadata"]
                yield Move(
                    f"quota {meta['name']} is enforced at {hard['pods']}",
                    lambda meta=meta, hard=hard: self.set_status("ResourceQuota", meta, hard=hard),  # type: ignore[misc]
                )
        for pod in self.cluster.of_kind("Pod"):
            if self._could_forget(pod) and self.may_forget(pod):
                yield Move(f"quota forgets pod {pod['metadata']['name']}", lambda p=pod: self._forget(p), fair=False)  # type: ignore[misc]

    def _could_forget(self, pod: Manifest) -> bool:
        ends = pod["metadata"].get("deletionTimestamp")
        return bool(ends and "forgotten" not in pod and later(ends, GRACE_SECONDS) <= self.clock())

    def _forget(self, pod: Manifest) -> None:
        self._edit_pod(pod, lambda live: {**live, "forgotten": True})

    def admits(self, namespace: str, template: Manifest) -> bool:
        """Whether the API server lets a pod of this template be made."""
        priority = template["spec"].get("priorityClassName")
        if priority is None:
            return True
        if ("PriorityClass", "", priority) not in self.cluster.objects:
            return False
        if not self.enforces_quotas:
            return True
        for quota in self.cluster.of_kind("ResourceQuota", namespace=namespace):
            scope = quota["spec"]["scopeSelector"]["matchExpressions"][0]
            hard = quota.get("status", {}).get("hard", {}).get("pods")
            if priority in scope["values"] and hard is not None:
                charged = sum(
                    pod["spec"].get("priorityClassName") == priority
                    and pod["status"]["phase"] not in ENDED
                    and "forgotten" not in pod
                    for pod in self.cluster.of_kind("Pod", namespace=namespace)
                )
                if charged >= int(hard):
                    return False
        return True
