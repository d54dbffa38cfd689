"""Conditions: their types, their reasons, and how a new set is made from the last one.

Follows kstatus, so that ``kubectl wait``, ``helm --wait``, Flux and Argo CD read them rightly: Ready=True alone is
done; Ready=False with Reconciling=True is under way; Ready=False with Stalled=True waits for a person or for room.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from plimsoll.api.meta import LONGEST_MESSAGE, Condition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plimsoll.api.meta import Manifest


class ConditionType(StrEnum):
    """What a condition is about."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    BUDGET_GRANTED = "BudgetGranted"
    WITHIN_DECLARED = "WithinDeclared"
    MIGRATIONS_APPLIED = "MigrationsApplied"
    CONFIG_TRACKED = "ConfigTracked"


class Reason(StrEnum):
    """Why a condition is as it is."""

    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    WAITING_FOR_BUDGET = "WaitingForBudget"
    WAITING_FOR_GUARD = "WaitingForGuard"
    MIGRATING = "Migrating"
    MIGRATION_FAILED = "MigrationFailed"
    OVER_BUDGET = "OverBudget"
    GRANTED = "Granted"
    SHRUNK_TO_FIT = "ShrunkToFit"
    DECLARED = "Declared"
    MORE_THAN_DECLARED = "MoreThanDeclared"
    WAITING_FOR_QUIET = "WaitingForQuiet"
    BUDGET_NOT_FOUND = "BudgetNotFound"
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    INVALID_SPEC = "InvalidSpec"
    FORBIDDEN = "Forbidden"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    IMAGE_CANNOT_BE_PULLED = "ImageCannotBePulled"
    CONTAINER_CANNOT_START = "ContainerCannotStart"
    CRASH_LOOP = "CrashLoop"
    PODS_REFUSED = "PodsRefused"
    UNSCHEDULABLE = "Unschedulable"
    TRACKED = "Tracked"
    NOT_GRANTED = "NotGranted"
    NOT_FOUND = "NotFound"
    CHANGE_WAITS = "ChangeWaits"
    OBSERVED = "Observed"
    OVERCOMMITTED = "Overcommitted"
    SERVER_FULL = "ServerFull"
    SERVER_UNREACHABLE = "ServerUnreachable"
    SECRET_UNREADABLE = "SecretUnreadable"  # noqa: S105 - a reason's name, not a secret


WAITS_FOR_ROOM: Final = frozenset(
    {Reason.OVER_BUDGET, Reason.WAITING_FOR_BUDGET, Reason.BUDGET_NOT_FOUND, Reason.NAMESPACE_NOT_ALLOWED}
)
"""Why a service does not have what it asks for; a change of its budget may mend each of these."""


UNREAD: Final = frozenset({Reason.SERVER_FULL, Reason.SERVER_UNREACHABLE, Reason.SECRET_UNREADABLE})
"""Why the last attempt to ask a budget's server failed; only the next attempt can take that back."""


class Progress(StrEnum):
    """Where an object stands, in kstatus's terms."""

    DONE = "Done"
    UNDER_WAY = "UnderWay"
    STALLED = "Stalled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a condition says, without times."""

    type: ConditionType
    status: bool | None
    reason: Reason
    message: str


def summary(*, progress: Progress, reason: Reason, message: str) -> tuple[Finding, ...]:
    """Ready, Reconciling and Stalled as one consistent set."""
    return (
        Finding(type=ConditionType.READY, status=progress is Progress.DONE, reason=reason, message=message),
        Finding(type=ConditionType.RECONCILING, status=progress is Progress.UNDER_WAY, reason=reason, message=message),
        Finding(type=ConditionType.STALLED, status=progress is Progress.STALLED, reason=reason, message=message),
    )


def waits(reason: Reason, message: str) -> tuple[Finding, ...]:
    """Not ready, and on its way by itself."""
    return summary(progress=Progress.UNDER_WAY, reason=reason, message=message)


def stalls(reason: Reason, message: str) -> tuple[Finding, ...]:
    """Not ready, and waiting for a person or for room."""
    return summary(progress=Progress.STALLED, reason=reason, message=message)


def conditions(
    *, findings: Iterable[Finding], before: Iterable[Condition], generation: int, now: str
) -> tuple[Condition, ...]:
    """The conditions to write: times move only where a status does, so that an unchanged object is not rewritten."""
    last = {condition.type: condition for condition in before}
    words = {True: "True", False: "False", None: "Unknown"}
    result = []
    for finding in findings:
        old = last.get(finding.type.value)
        status = words[finding.status]
        result.append(
            Condition.model_validate(
                {
                    "type": finding.type.value,
                    "status": status,
                    "observedGeneration": generation,
                    "lastTransitionTime": old.last_transition_time if old and old.status == status else now,
                    "reason": finding.reason.value,
                    "message": _bounded(finding.message),
                }
            )
        )
    return tuple(result)


def of_type(found: Iterable[Condition], type_: ConditionType) -> Condition | None:
    """The one condition of a type, where it was said already."""
    return next((each for each in found if each.type == type_.value), None)


def met(manifest: Manifest) -> frozenset[str]:
    """The types of the conditions that are true of an object of Kubernetes' own, as the API server returned it."""
    found = manifest.get("status", {}).get("conditions", [])
    return frozenset(each["type"] for each in found if each.get("status") == "True")


def _bounded(message: str) -> str:
    """A message that is too long would have the whole status refused, and with it all else that there is to say."""
    return message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 1]}…"
