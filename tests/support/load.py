"""Starts the load generator (``loadgen.py``) in a pod of its own, in the service's image, and reads its report."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Manifest
    from support.stage import Stage

SCRIPT = Path(__file__).with_name("loadgen.py")


class Load:
    """A load under way."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self.name = name
        """Of the pod, and the text of every report that it sends."""

    def phase(self) -> str:
        """Phase of the generator's pod."""
        pod = self._stage.kube.get("pod", self.name, namespace=self._stage.namespace)
        return str(pod["status"].get("phase", "")) if pod else ""

    def under_way(self) -> bool:
        """Whether it is sending."""
        return self.phase() == "Running"

    def lines(self) -> list[dict[str, Any]]:
        """What the generator has printed."""
        if self.phase() not in {"Running", "Succeeded", "Failed"}:
            return []
        text = self._stage.kube.run("logs", f"--namespace={self._stage.namespace}", self.name)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def report(self, *, within: float) -> dict[str, Any]:
        """Waits for its end; what it counted, and what the database holds of it."""
        ended = self._stage.until(
            "the load has ended", lambda: self.phase() in {"Succeeded", "Failed"}, within=within, every=1
        )
        assert ended
        report = self.lines()[-1]
        assert "sent" in report, (
            f"the generator broke: {self._stage.kube.run('logs', '-n', self._stage.namespace, self.name)}"
        )
        report["stored"] = int(self._stage.sql(f"SELECT count(*) FROM report WHERE text = '{self.name}'"))  # noqa: S608
        return report


@contextlib.contextmanager
def load(stage: Stage, *options: str) -> Iterator[Load]:
    """A load on the stage's service through its ClusterIP; sending when this returns."""
    name = f"load-{uuid.uuid4().hex[:8]}"
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": stage.namespace},
        "data": {"loadgen.py": SCRIPT.read_text()},
    }
    running = Load(stage, name)
    stage.kube.apply(script, _pod(stage, name, options))
    try:
        stage.until("the load has started", running.lines, within=60)
        yield running
    finally:
        stage.kube.delete("pod", name, namespace=stage.namespace, now=True)
        stage.kube.delete("configmap", name, namespace=stage.namespace)


def _pod(stage: Stage, name: str, options: tuple[str, ...]) -> Manifest:
    host = f"captions.{stage.namespace}.svc"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": stage.namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "load",
                    "image": stage.images.captions,
                    "args": ["python3", "/load/loadgen.py", host, f"--text={name}", *options],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                    "volumeMounts": [{"name": "script", "mountPath": "/load"}],
                }
            ],
            "volumes": [{"name": "script", "configMap": {"name": name}}],
        },
    }
