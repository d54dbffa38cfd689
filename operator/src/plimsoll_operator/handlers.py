"""kopf's low-level handlers: each turns an event into a key for the queue, and does nothing else.

Events say only *where* to look. Writes of a status wake nobody: for our own kinds an event counts when the generation
is new, or when the object comes or goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import kopf
from plimsoll.api.meta import GROUP, VERSION
from plimsoll.render.names import MANAGED_BY, MANAGER, SERVICE

from plimsoll_operator.queue import Key, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from plimsoll_operator.queue import WorkQueue

_OWNED: Final = (
    ("apps", "v1", "deployments"),
    ("autoscaling", "v2", "horizontalpodautoscalers"),
    ("batch", "v1", "jobs"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("", "v1", "resourcequotas"),
    ("", "v1", "services"),
)


def build_registry(*, queue: WorkQueue, healthy: Callable[[], str | None]) -> kopf.OperatorRegistry:
    """The operator's handlers, in a registry of their own, so that importing this module does nothing.

    Args:
        queue: receives the keys.
        healthy: why the operator is not healthy, or ``None``.
    """
    registry = kopf.OperatorRegistry()
    waker = _Waker(queue)

    @kopf.on.login(id="login", registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's own arguments
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, VERSION, "connectionbudgets", id="wake-budget", registry=registry)
    async def wake_budget(meta: Any, type: str | None, **_: Any) -> None:  # noqa: A002, ANN401 - kopf's own names
        waker.wake(Kind.BUDGET, meta, type)

    @kopf.on.event(GROUP, VERSION, "fastapiservices", id="wake-service", registry=registry)
    async def wake_service(meta: Any, type: str | None, **_: Any) -> None:  # noqa: A002, ANN401 - kopf's own names
        waker.wake(Kind.SERVICE, meta, type)

    async def wake_owner(meta: Any, **_: Any) -> None:  # noqa: ANN401 - kopf's own view of metadata
        if name := meta.get("labels", {}).get(SERVICE):
            queue.add(Key(Kind.SERVICE, meta["namespace"], name))

    for group, version, plural in _OWNED:
        kopf.on.event(group, version, plural, id=f"wake-owner-of-{plural}", registry=registry)(wake_owner)

    # Errors of a probe are otherwise retried inside the request, which then hangs instead of failing.
    @kopf.on.probe(id="queue", errors=kopf.ErrorsMode.PERMANENT, registry=registry)
    async def queue_moves(**_: Any) -> str:  # noqa: ANN401 - kopf's own arguments
        if problem := healthy():
            raise kopf.PermanentError(problem)
        return "moving"

    return registry


class _Waker:
    """Tells an edit from a write of the status by the generation, which only an edit moves."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue
        self._seen: dict[Key, int] = {}

    def wake(self, kind: Kind, meta: Any, event: str | None) -> None:  # noqa: ANN401 - kopf's own view of metadata
        key = Key(kind, meta["namespace"], meta["name"])
        leaving = event == "DELETED" or bool(meta.get("deletionTimestamp"))
        generation = int(meta.get("generation", 0))
        if event is None or leaving or self._seen.get(key) != generation:
            self._queue.add(key)
        if event == "DELETED":
            self._seen.pop(key, None)
        else:
            self._seen[key] = generation


def build_settings() -> kopf.OperatorSettings:
    """kopf's settings: watches and nothing else, patient with an API server that is away."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 300
    settings.watching.connect_timeout = 10
    settings.networking.error_backoffs = _Patience()
    for group, version, plural in _OWNED:
        settings.watching.label_selectors[group, version, plural] = f"{MANAGED_BY}={MANAGER}"
    return settings


class _Patience:
    """Backoffs without end: kopf's own end after a minute, and with them the operator would."""

    def __iter__(self) -> _Backoffs:
        return _Backoffs()


class _Backoffs:
    def __init__(self) -> None:
        self._next = 1.0

    def __iter__(self) -> _Backoffs:
        return self

    def __next__(self) -> float:
        current, self._next = self._next, min(30.0, self._next * 2)
        return current
