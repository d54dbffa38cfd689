"""What to print when a wait on the cluster was in vain: conditions, pods, events, and the operator's last words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATOR_NAMESPACE = "plimsoll-system"
CONDITIONS = (
    r'{range .items[*]}{.kind}/{.metadata.name} generation {.metadata.generation}{"\n"}'
    r'{range .status.conditions[*]}    {.type}={.status} ({.observedGeneration}) {.reason}: {.message}{"\n"}{end}{end}'
)


def tell(kubectl: Callable[..., str], namespace: str | None) -> str:
    """The story of a namespace and of the operator."""
    chapters: dict[str, tuple[str, ...]] = {}
    if namespace:
        where = f"--namespace={namespace}"
        custom = "connectionbudgets,fastapiservices"
        chapters["conditions"] = ("get", custom, where, f"--output=jsonpath={CONDITIONS}")
        chapters["objects"] = ("get", "deployments,resourcequotas,jobs,pods", where, "--output=wide")
        chapters["events"] = ("get", "events", where, "--sort-by=.lastTimestamp")
    of_operator = f"--namespace={OPERATOR_NAMESPACE}"
    chapters["operator"] = ("get", "pods", of_operator)
    chapters["operator's log"] = (
        "logs",
        of_operator,
        "--selector=app.kubernetes.io/name=plimsoll-operator",
        "--tail=30",
    )
    return "\n".join(f"--- {title}\n{_last(kubectl, arguments)}" for title, arguments in chapters.items())


def _last(kubectl: Callable[..., str], arguments: tuple[str, ...]) -> str:
    try:
        return "\n".join(kubectl(*arguments).splitlines()[-30:])
    except Exception as error:  # noqa: BLE001 - the story is told after a failure, and must not hide it
        return f"({error})"
