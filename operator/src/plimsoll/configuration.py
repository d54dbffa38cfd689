"""Secrets and ConfigMaps that a service's processes are started with: which version of each its pods belong to.

Processes read their environment once, so a change of it reaches them only when the pods are replaced: ``steps`` writes
the versions into the pod template, and a new text there is a rollout like any other, as slow and as silent. A version
is made of uid and resourceVersion: nothing of the content is in it, and the shell never asks for the content.

What changed a moment ago is left to settle: two edits in a row are one rollout, and the budget's probe, where it uses
the same Secret, tries a new password before every pod depends on it. While a server cannot be asked nothing is rotated.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from plimsoll.conditions import ConditionType, Finding, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest

SETTLED_SECONDS: Final = 60
"""How long a Secret or ConfigMap must have been left alone: twice the interval at which a budget asks its server."""


class Source(NamedTuple):
    """A Secret or a ConfigMap in the service's own namespace."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Sight(Enum):
    """Whether the operator sees it."""

    SEEN = "seen"
    NOT_GRANTED = "not granted"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was seen of one source.

    Attributes:
        source: which.
        sight: whether it was seen.
        version: tells one state of it from every other; empty where it was not seen.
        changed: when it was written last, as far as that is known.
    """

    source: Source
    sight: Sight
    version: str = ""
    changed: str = ""

    @classmethod
    def of(cls, source: Source, meta: Manifest) -> Reading:
        """Reads an object's metadata."""
        identity = f"{meta.get('uid', '')} {meta.get('resourceVersion', '')}"
        written = [entry["time"] for entry in meta.get("managedFields", []) if entry.get("time")]
        return cls(
            source=source,
            sight=Sight.SEEN,
            version=hashlib.sha256(identity.encode()).hexdigest()[:12],
            changed=max(written, default=""),
        )

    def is_settled(self, now: str) -> bool:
        """Whether it has been left alone for long enough."""
        if not self.changed:
            return True
        return datetime.fromisoformat(now) - datetime.fromisoformat(self.changed) >= timedelta(seconds=SETTLED_SECONDS)


def sources(service: FastAPIService) -> tuple[Source, ...]:
    """All that the environment of its processes comes from."""
    spec = service.spec
    found = [Source("Secret", spec.database.secret_ref.name)]
    found += [Source("Secret", each.secret_ref.name) for each in spec.additional_databases]
    for each in spec.env_from:
        found += [Source("Secret", each.secret_ref.name)] if each.secret_ref else []
        found += [Source("ConfigMap", each.config_map_ref.name)] if each.config_map_ref else []
    return tuple(dict.fromkeys(found))


def versions(readings: Iterable[Reading], *, running: str, hold: bool, now: str) -> str:
    """What the pods are to belong to, as an annotation: ``Secret/shop-db=0123456789ab,ConfigMap/…``.

    Args:
        readings: what was seen.
        running: the annotation of the pods that run; what cannot be seen now stays as it is there, so that a right that
            is taken away, or an object that is, replaces no pod.
        hold: nothing that runs is to be replaced now.
        now: the time.
    """
    known = dict(entry.split("=", 1) for entry in running.split(",") if "=" in entry)
    entries = {}
    for each in readings:
        name = str(each.source)
        stays = each.sight is not Sight.SEEN or hold or not each.is_settled(now)
        entries[name] = known.get(name, each.version) if stays else each.version
    return ",".join(f"{name}={version}" for name, version in entries.items() if version)


def is_held(budgets: Iterable[ConnectionBudget]) -> bool:
    """Whether the server of one of these budgets cannot be asked: the new password may be why."""
    readiness = (each for budget in budgets for each in budget.status.conditions)
    away = Reason.SERVER_UNREACHABLE.value
    return any(each.type == ConditionType.READY.value and each.reason == away for each in readiness)


def tracked(readings: Iterable[Reading], *, namespace: str, account: str) -> tuple[Finding, ...]:
    """Whether a change of each would be seen, and the command that grants the right where it would not."""
    found = list(readings)
    if not found:
        return ()
    missing = [each.source for each in found if each.sight is Sight.MISSING]
    unseen = [each.source for each in found if each.sight is Sight.NOT_GRANTED]
    if missing:
        names = ", ".join(map(str, missing))
        message = f"There is no {names} in namespace {namespace}; pods cannot start without it. Create it."
        return (_finding(Reason.NOT_FOUND, message, status=False),)
    if unseen:
        names = ", ".join(map(str, unseen))
        commands = " && ".join(grant(source, namespace=namespace, account=account) for source in unseen)
        message = (
            f"The operator may not read {names}: a change of it reaches the pods only with the next rollout. Grant it,"
            f" and they are replaced by themselves: {commands}"
        )
        return (_finding(Reason.NOT_GRANTED, message, status=False),)
    names = ", ".join(str(each.source) for each in found)
    message = f"When one of these changes, the pods are replaced: {names}."
    return (_finding(Reason.TRACKED, message, status=True),)


def grant(source: Source, *, namespace: str, account: str) -> str:
    """The command by which the owner of a Secret or ConfigMap lets the operator read this one."""
    role = f"plimsoll-{source.name}" if source.kind == "Secret" else f"plimsoll-{source.kind.lower()}-{source.name}"
    who = account.removeprefix("system:serviceaccount:")
    return (
        f"kubectl -n {namespace} create role {role} --verb=get --resource={source.kind.lower()}s"
        f" --resource-name={source.name} && kubectl -n {namespace} create rolebinding {role}"
        f" --role={role} --serviceaccount={who}"
    )


def _finding(reason: Reason, message: str, *, status: bool) -> Finding:
    return Finding(type=ConditionType.CONFIG_TRACKED, status=status, reason=reason, message=message)
