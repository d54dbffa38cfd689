"""What the two CustomResourceDefinitions say beyond the schemas of their models: columns, and rules in CEL.

Read by ``crd``, which writes both down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import RESERVED_ENV, FastAPIService
from plimsoll.shutdown import JOBS, WEB, Ending

if TYPE_CHECKING:
    from plimsoll.api.meta import Wire


@dataclass(frozen=True, slots=True)
class Kind:
    """What a CRD says beyond its schema."""

    model: type[Wire]
    plural: str
    short: str
    columns: tuple[tuple[str, str, str, int], ...]
    """Heading, type, JSONPath, priority."""

    rules: dict[str, str] = field(default_factory=dict)
    """CEL expression on the spec → what it says when it is broken."""

    sums: tuple[Ending, ...] = ()
    """Deadlines of the spec that are refused when they add up to too much, with the sum."""

    object_rules: dict[str, str] = field(default_factory=dict)
    """Likewise on the whole object: its name, its spec and its status."""

    scale: bool = False


def _condition(type_: str, part: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{part}'


def _within(path: str) -> str:
    return f"!has({path}.autoscaling) || {path}.autoscaling.minReplicas <= {path}.autoscaling.maxReplicas"


def _bounds(part: str) -> str:
    return f"{part}: autoscaling.minReplicas is more than maxReplicas; lower it, or raise maxReplicas to it"


_STATUS: Final = ("Ready", "string", _condition("Ready", "status"), 0)
_WHY: Final = (
    ("Reason", "string", _condition("Ready", "reason"), 0),
    ("Message", "string", _condition("Ready", "message"), 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
"""Columns that both have: first, and last."""

KINDS: Final = (
    Kind(
        model=ConnectionBudget,
        plural="connectionbudgets",
        short="cb",
        columns=(
            _STATUS,
            ("Usable", "integer", ".status.usable", 0),
            ("Claimed", "integer", ".status.claimed", 0),
            ("Free", "integer", ".status.free", 0),
            ("Load", "string", ".status.load", 0),
            ("Live", "integer", ".status.live", 0),
            ("Peak", "integer", ".status.peak", 1),
            *_WHY,
        ),
        rules={
            "self.staleAfterSeconds >= 2 * self.probeIntervalSeconds": (
                "staleAfterSeconds: a reading must count for at least two probe intervals, or one missed probe stops"
                " all growth; raise it to 2 × probeIntervalSeconds or more"
            ),
            "self.allowedNamespaces.from == 'Selector' ? has(self.allowedNamespaces.selector)"
            " && self.allowedNamespaces.selector.matchLabels.size() > 0 : !has(self.allowedNamespaces.selector)": (
                "allowedNamespaces: from: Selector needs a selector with at least one label in matchLabels, and the"
                " others take none"
            ),
        },
    ),
    Kind(
        model=FastAPIService,
        plural="fastapiservices",
        short="fas",
        columns=(
            _STATUS,
            ("Fits", "string", _condition("BudgetGranted", "status"), 0),
            ("Pods", "string", ".status.readyPods", 0),
            ("Connections", "integer", ".status.plan.connections", 0),
            ("Granted", "integer", ".status.plan.granted", 0),
            *_WHY,
        ),
        rules={
            "self.rollout.maxSurge + self.rollout.maxUnavailable > 0": (
                "rollout: maxSurge and maxUnavailable are both 0, so no pod could be replaced; set one of them to 1"
            ),
            _within("self.web"): _bounds("web"),
            f"self.jobs.all(group, {_within('group')})": _bounds("jobs"),
            "!has(self.database.pool.minSize) || self.database.pool.minSize <= self.database.pool.size": (
                "database.pool: minSize is more than size; lower minSize, or raise size to it"
            ),
            "!has(self.web.service.nodePort) || self.web.service.type == 'NodePort'": (
                "web.service: nodePort is set but type is not NodePort; set type to NodePort or leave nodePort out"
            ),
            "self.pod.tolerations.all(t, (t.operator == 'Equal' ? has(t.key) : !has(t.value))"
            " && (!has(t.tolerationSeconds) || (has(t.effect) && t.effect == 'NoExecute')))": (
                "pod.tolerations: operator Equal needs a key, Exists takes no value, and tolerationSeconds needs effect"
                " NoExecute; add the one or leave the other out"
            ),
            "self.envFrom.all(e, has(e.secretRef) != has(e.configMapRef))": (
                "envFrom: each entry names one Secret or one ConfigMap; set either secretRef or configMapRef"
            ),
            f"self.env.all(e, !(e.name in {list(RESERVED_ENV)}))": (
                "env: this name carries the contract with the operator and is set by it "
                f"({', '.join(RESERVED_ENV)}); change the field that it comes from,"
                " or map it: MYAPP_POOL_SIZE: $(DB_POOL_SIZE)"
            ),
            "self.additionalDatabases.all(d, self.env.all(e,"
            " !e.name.startsWith(d.name.upperAscii().replace('-', '_') + '_D') ||"
            " !e.name.matches('_(DATABASE_URL|DB_POOL_SIZE|DB_MAX_OVERFLOW)$')))": (
                "env: NAME_DATABASE_URL, NAME_DB_POOL_SIZE and NAME_DB_MAX_OVERFLOW of an additional database are set"
                " by the operator; change the field that they come from, or map them:"
                " MYAPP_POOL_SIZE: $(ORDERS_DB_POOL_SIZE)"
            ),
        },
        sums=(WEB, JOBS),
        object_rules={
            "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')": (
                "metadata.name: it names a Service and labels pods, so it must be at most 63 lower-case letters, digits"
                " and hyphens, begin with a letter and not end with a hyphen"
            ),
        },
        scale=True,
    ),
)
