"""Why pods do not start, each sort with a reason of its own, the numbers, and what mends it.

Read from pods and Deployments as the API server returned them; ``progress`` says it on the service. What only an edit,
a right or somebody else's room can mend *holds* the rollout: it is Stalled at once. What often mends itself (a node
that is yet to come, a first pull or crash) holds it when the Deployment's progress deadline has passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from plimsoll.conditions import Reason
from plimsoll.last_words import last_lines, words_of

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

PATIENT_RESTARTS: Final = 3
"""So many times a container may fail, over more than a minute, while a database that it needs is still starting."""

_SHORT: Final = timedelta(minutes=10)
"""A run of at least that was no crash at the start: the kubelet's own back-off begins anew after it."""

_STARTING: Final = frozenset({None, "ContainerCreating", "PodInitializing"})
_NO_IMAGE: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What keeps a pod from running, or from being made.

    Attributes:
        reason: its sort.
        words: what is wrong and what mends it, without a full stop.
        holds: waiting alone does not help.
    """

    reason: Reason
    words: str
    holds: bool

    def __str__(self) -> str:
        return self.words


def of_pod(status: Manifest) -> Trouble | None:
    """What a pod's status tells; nothing where it runs or is only starting.

    Between two crashes a container runs, but has not started by its startup probe: the trouble is still the same.
    """
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        reason, restarts = waiting.get("reason"), container.get("restartCount", 0)
        if reason in _NO_IMAGE:
            return _no_image(container, waiting)
        if reason == "CrashLoopBackOff" or _is_between_crashes(container, restarts):
            return _crashes(container, restarts)
        if reason not in _STARTING:
            words = (
                f"its container cannot start ({reason}: {_line(waiting)}); create what is missing, or correct the spec"
            )
            return Trouble(reason=Reason.CONTAINER_CANNOT_START, words=words, holds=True)
    for each in status.get("conditions", []):
        if each.get("type") == "PodScheduled" and each.get("reason") == "Unschedulable":
            words = (
                f"no node takes it ({_line(each)}); lower resources.requests, add a node, or correct pod.nodeSelector"
                " and pod.tolerations"
            )
            return Trouble(reason=Reason.UNSCHEDULABLE, words=words, holds=False)
    return None


def of_deployment(conditions: dict[str, Manifest], *, guard: str) -> Trouble | None:
    """Why the cluster refuses to make pods, unless it is ``guard``: who waits for a pod to go will have its place."""
    failure = conditions.get("ReplicaFailure", {})
    said = failure.get("message", "")
    if failure.get("status") != "True" or (guard in said and "exceeded quota" in said):
        return None
    fix = "correct what it names"
    if "exceeded quota" in said:
        fix = "raise that ResourceQuota, or lower replicas, maxSurge or resources"
    words = f"the cluster refuses to make pods ({_line(failure)}); {fix}"
    return Trouble(reason=Reason.PODS_REFUSED, words=words, holds=True)


def _no_image(container: Manifest, waiting: Manifest) -> Trouble:
    words = (
        f"image {container.get('image', '')} cannot be pulled ({waiting['reason']}: {_line(waiting)}); correct image,"
        " or name the Secret of its registry in pod.imagePullSecrets"
    )
    # After the first failure the kubelet tries again by itself; a back-off is what follows when that has failed too.
    return Trouble(reason=Reason.IMAGE_CANNOT_BE_PULLED, words=words, holds=waiting["reason"] != "ErrImagePull")


def _is_between_crashes(container: Manifest, restarts: int) -> bool:
    """Whether it is tried again now; restarts are never forgotten, so the last run tells whether they are of today."""
    last = container.get("lastState", {}).get("terminated") or {}
    if restarts < PATIENT_RESTARTS or container.get("started") is not False:
        return False
    began, ended = last.get("startedAt") or "", last.get("finishedAt") or ""
    if not began or not ended:
        return False
    return datetime.fromisoformat(ended) - datetime.fromisoformat(began) < _SHORT


def _crashes(container: Manifest, restarts: int) -> Trouble:
    ended = container.get("lastState", {}).get("terminated")
    words = f"it crashes: restarted {restarts} time{'' if restarts == 1 else 's'}"
    if ended:
        words += f", it ended with {words_of(ended)}"
    return Trouble(reason=Reason.CRASH_LOOP, words=words, holds=restarts >= PATIENT_RESTARTS)


def _line(said: Manifest) -> str:
    """What the cluster says, as one line."""
    return last_lines(said.get("message", "")).split("\n", 1)[0] or "without further words"
