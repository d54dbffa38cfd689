"""Who comes first on a machine that is all the nodes at once: what serves, before what starts and what administers.

On a cluster of machines a starting pod takes nothing from another node's pods, nor etcd from the database. Here all of
them share a few cores, and a 99th percentile would tell of that. Only benches that measure times use it.
"""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHARES: Final = {"worker": "8192", "control-plane": "256", "default": "1024"}
"""Of the nodes' containers, for the kernel's scheduler."""


@contextlib.contextmanager
def serving_first(nodes: Sequence[str]) -> Iterator[None]:
    """Workers before the control plane, and on the workers pods before the container runtime."""
    try:
        for node in nodes:
            _weigh(node, "control-plane" if node.endswith("-control-plane") else "worker", pods="2000")
        yield
    finally:
        for node in nodes:
            _weigh(node, "default", pods="100")


def _weigh(node: str, what: str, *, pods: str) -> None:
    _run("docker", "update", f"--cpu-shares={SHARES[what]}", node)
    _run("docker", "exec", node, "systemctl", "set-property", "--runtime", "kubelet.slice", f"CPUWeight={pods}")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
