"""How often a connection was refused for want of slots, by every log that can tell: SQLSTATE 53300."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.kube import KubectlError
from support.story import OPERATOR_NAMESPACE

if TYPE_CHECKING:
    from support.line_world import World

REFUSED = ("too many clients already", "remaining connection slots are reserved", "too many connections for")
"""What the server says with 53300, to its log and to the client; the bare number is also in times and ids."""


def refused_by_server(world: World) -> int:
    """Refusals in the server's own log."""
    return _count(world, world.namespace, "postgres-0")


def refusals(world: World) -> dict[str, int]:
    """Refusals in each: the server's own (every refusal is in there), the pods' that exist, the operator's."""
    pods = [(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in _all_pods(world)]
    return {
        "server": refused_by_server(world),
        "pods": sum(_count(world, *pod) + _count(world, *pod, "--previous") for pod in pods),
        "operator": _count(world, OPERATOR_NAMESPACE, "deployment/plimsoll-operator"),
    }


def _all_pods(world: World) -> list[dict[str, dict[str, str]]]:
    return [each for name in world.namespaces for each in world.kube.list("pods", namespace=name)]


def _count(world: World, namespace: str, name: str, *options: str) -> int:
    try:
        text = world.kube.run("logs", f"--namespace={namespace}", name, *options)
    except KubectlError as error:
        if options or "NotFound" in str(error) or "waiting to start" in str(error):
            return 0  # never started twice, gone meanwhile, or not yet begun
        raise
    return sum(any(words in line for words in REFUSED) for line in text.splitlines())
