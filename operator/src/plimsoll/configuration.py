"""Secrets and ConfigMaps that a service's processes are started with: which version of each its pods belong to.

Processes read their environment once, so a change of it reaches them only when the pods are replaced: ``steps`` writes
the versions into the pod template, and a new text there is a rollout like any other, as slow and as silent. A version
is made of uid and resourceVersion: nothing of the content is in it, and the shell never asks for the content.

What changed a moment ago is left to settle: two edits in a row are one rollout, and the budget's probe, where it uses
the same Secret, tries a new password before every pod depends on it. While a server cannot be asked nothing is rotated.
Both hold for pods that run; those that are started anyway are started with what is there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from plimsoll.conditions import UNREAD, ConditionType, Finding, Reason, of_type
from plimsoll.render.names import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import BudgetKey, Manifest

SETTLED_SECONDS: Final = 60
"""How long a Secret or ConfigMap must have been left alone at least; see ``pace``."""


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

    def settles(self, seconds: int) -> str:
        """When it will have been left alone for so long; empty where it is not known when it was written."""
        if not self.changed:
            return ""
        return (datetime.fromisoformat(self.changed) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How soon a change may replace pods that run.

    Attributes:
        seconds: how long a source must have been left alone.
        held_by: the budgets whose server cannot be asked: the new password may be why.
    """

    seconds: int = SETTLED_SECONDS
    held_by: tuple[BudgetKey, ...] = ()


def pace(budgets: Iterable[ConnectionBudget]) -> Pace:
    """What the budgets of a service allow: that each has asked its server with what is there now, and had an answer."""
    own = tuple(budgets)
    said = {budget.key: of_type(budget.status.conditions, ConditionType.READY) for budget in own}
    away = {key for key, ready in said.items() if ready and ready.reason in UNREAD}
    return Pace(
        seconds=max([SETTLED_SECONDS, *(2 * budget.spec.probe_interval_seconds for budget in own)]),
        held_by=tuple(sorted(away)),
    )


def sources(service: FastAPIService) -> tuple[Source, ...]:
    """All that the environment of its processes comes from."""
    spec = service.spec
    found = [Source("Secret", spec.database.secret_ref.name)]
    found += [Source("Secret", each.secret_ref.name) for each in spec.additional_databases]
    for each in spec.env_from:
        found += [Source("Secret", each.secret_ref.name)] if each.secret_ref else []
        found += [Source("ConfigMap", each.config_map_ref.name)] if each.config_map_ref else []
    return tuple(dict.fromkeys(found))


def versions(readings: Iterable[Reading], *, live: Manifest, made: Manifest, pace: Pace, now: str) -> str:
    """What the pods are to belong to, as an annotation: ``Secret/shop-db=0123456789ab,ConfigMap/…``.

    Args:
        readings: what was seen.
        live: the pod template in force; empty where there is none. What cannot be seen now stays as it is there, so
            that a right that is taken away, or an object that is, replaces no pod.
        made: the one that it is to become, but for these versions.
        pace: how soon a change may replace pods that run.
        now: the time.
    """
    known, new = _known(live), _referred(made) - _referred(live)
    entries = {}
    for each in readings:
        name = str(each.source)
        if each.sight is Sight.SEEN and not pace.held_by and each.settles(pace.seconds) <= now:
            entries[name] = each.version
        elif name in known:
            entries[name] = known[name]
        elif not live or each.source in new:  # it replaces no pod that would not be replaced anyway
            entries[name] = each.version
    return ",".join(f"{name}={version}" for name, version in entries.items() if version)


def _known(template: Manifest) -> dict[str, str]:
    """The versions that pods of this template belong to."""
    said = (template.get("metadata", {}).get("annotations") or {}).get(CONFIG, "")
    return dict(entry.split("=", 1) for entry in said.split(",") if "=" in entry)


def _referred(template: Manifest) -> set[Source]:
    """What pods of this template are started with."""
    found = set()
    for container in template.get("spec", {}).get("containers", []):
        for each in container.get("env", []):
            if ref := each.get("valueFrom", {}).get("secretKeyRef"):
                found.add(Source("Secret", ref["name"]))
        for each in container.get("envFrom", []):
            found |= {Source("Secret", each["secretRef"]["name"])} if "secretRef" in each else set()
            found |= {Source("ConfigMap", each["configMapRef"]["name"])} if "configMapRef" in each else set()
    return found


def tracked(
    readings: Iterable[Reading], *, templates: Iterable[Manifest], pace: Pace, namespace: str, account: str, now: str
) -> tuple[Finding, ...]:
    """Whether a change of each would be seen, the command that grants the right where not, and what a change waits for.

    Args:
        readings: what was seen.
        templates: the pod templates in force.
        pace: how soon a change may replace pods.
        namespace: of the service.
        account: the operator's own identity.
        now: the time.
    """
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
    if changed := _changed(found, templates):
        return (_finding(Reason.CHANGE_WAITS, _what_it_waits_for(changed, pace, now=now), status=True),)
    names = ", ".join(str(each.source) for each in found)
    message = f"When one of these changes, the pods are replaced: {names}."
    return (_finding(Reason.TRACKED, message, status=True),)


def _changed(readings: Iterable[Reading], templates: Iterable[Manifest]) -> list[Reading]:
    """What is seen now in another version than some pods were started with, or for the first time."""
    return [
        each
        for each in readings
        if any(
            _known(template).get(str(each.source), "") != each.version
            and (str(each.source) in _known(template) or each.source in _referred(template))
            for template in templates
        )
    ]


def _what_it_waits_for(changed: list[Reading], pace: Pace, *, now: str) -> str:
    pods = f"The pods may run with an earlier {', '.join(str(each.source) for each in changed)}: they"
    if pace.held_by:
        servers = ", ".join(map(str, pace.held_by))
        return f"{pods} stay until the server of budget {servers} can be asked again; the change may be why it cannot."
    if (until := max(each.settles(pace.seconds) for each in changed)) > now:
        return f"{pods} are replaced after {until}, when nothing has been written there for {pace.seconds} s."
    return f"{pods} are replaced as soon as nothing else is in the way; Ready says what is."


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
