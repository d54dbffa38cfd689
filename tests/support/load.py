"""Starts the load generator (``loadgen``) in a pod of its own, in the service's image, and reads its report."""

from __future__ import annotations

import base64
import contextlib
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.loadgen.tally import DIGESTS
from support.slides import slide

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.kube import Manifest
    from support.stage import Stage

SCRIPTS = Path(__file__).with_name("loadgen")


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

    def stop(self) -> None:
        """Tells it that this is enough; its report follows."""
        told = ("python3", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")
        self._stage.kube.run("exec", f"--namespace={self._stage.namespace}", self.name, "--", *told)

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
        rows = f"FROM report WHERE text = '{self.name}'"
        stored, checksum = self._stage.sql(f"SELECT count(*), {DIGESTS} {rows}").split("|")
        report["stored"], report["same_ids"] = int(stored), int(checksum) == report["checksum"]
        return report


@contextlib.contextmanager
def load(stage: Stage, *options: str, targets: Mapping[str, str] | None = None, node: str = "") -> Iterator[Load]:
    """A load on the stage's service through its ClusterIP, or on these targets; sending when this returns.

    Args:
        stage: where the service and the database are.
        options: of ``loadgen.py``.
        targets: name → host and port; the Service itself if none are given.
        node: where the generator runs; anywhere if not given.
    """
    name = f"load-{uuid.uuid4().hex[:8]}"
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": stage.namespace},
        "data": {file.name: file.read_text() for file in SCRIPTS.glob("*.py")},
        "binaryData": {"slide.png": base64.b64encode(slide("A word from the load")).decode()},
    }
    running = Load(stage, name)
    stage.kube.apply(script, _pod(stage, name, options, targets or {"direct": f"captions.{stage.namespace}.svc"}, node))
    try:
        stage.until("the load has started", running.lines, within=60)
        yield running
    finally:
        stage.kube.delete("pod", name, namespace=stage.namespace, now=True)
        stage.kube.delete("configmap", name, namespace=stage.namespace)


def _pod(stage: Stage, name: str, options: tuple[str, ...], targets: Mapping[str, str], node: str) -> Manifest:
    named = [f"--target={each}={where}" for each, where in targets.items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": stage.namespace},
        "spec": {
            "restartPolicy": "Never",
            **({"nodeName": node} if node else {}),
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "load",
                    "image": stage.images.captions,
                    "args": ["python3", "/load/loadgen.py", *named, f"--text={name}", *options],
                    "resources": {"requests": {"cpu": "300m"}},
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
