"""A kubelet that only pretends: binds every pod to a node that is not there, says that it runs, and lets it end.

Beside a real API server and the real controllers it makes a cluster without containers: pods are created, charged to
quotas, counted, and take their time to terminate, as everywhere.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest
    from support.api import Api

NODE: Final = "pretended"
_NOW: Final = "2026-01-01T00:00:00Z"


class Kubelet:
    """All nodes of an API server."""

    def __init__(self, api: Api, *, every: float = 0.05, looks: int = 3) -> None:
        self._api, self._every, self._looks = api, every, looks
        self._done = threading.Event()
        self._awake = threading.Event()
        self._awake.set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._leaving: dict[str, int] = {}
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self._api.create({"kind": "Node", "apiVersion": "v1", "metadata": {"name": NODE}}).must()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(10)
        if self.error is not None:
            raise self.error

    def pause(self) -> None:
        """Nothing that is new runs from now on."""
        self._awake.clear()

    def go_on(self) -> None:
        """Everything is looked after again."""
        self._awake.set()

    def _run(self) -> None:
        try:
            while not self._done.wait(self._every):
                if not self._awake.is_set():
                    continue
                for pod in self._api.list("Pod"):
                    self._look_after(pod)
        except BaseException as error:  # noqa: BLE001 - told by whoever waits for the thread
            self.error = error

    def _look_after(self, pod: Manifest) -> None:
        meta, status = pod["metadata"], pod.get("status", {})
        is_job = pod["spec"].get("restartPolicy") == "Never"
        if "deletionTimestamp" in meta:
            # It takes some looks until it is gone, so that new pods have to wait for it.
            seen = self._leaving[meta["uid"]] = self._leaving.get(meta["uid"], 0) + 1
            if seen > self._looks:
                self._api.delete({"kind": "Pod", **pod}, grace_seconds=0)
        elif not pod["spec"].get("nodeName"):
            self._api.bind(pod, NODE)
        elif status.get("phase") == "Pending":
            self._api.set_status({"kind": "Pod", **pod}, _succeeded() if is_job else _running())


def _running() -> dict[str, Any]:
    ready = [
        {"type": each, "status": "True", "lastTransitionTime": _NOW}
        for each in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    return {"phase": "Running", "conditions": ready}


def _succeeded() -> dict[str, Any]:
    return {"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False", "reason": "PodCompleted"}]}
