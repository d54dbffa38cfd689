"""The CRD's own rules, which the API server evaluates in CEL, said once more in Python for files that never met it.

Each rule is found by how its message begins, so that the words stay in one place; a test holds that every rule of the
CRD is here, and breaks each of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from plimsoll.api.connectionbudget import ConnectionBudget, NamespacesFrom
from plimsoll.api.fastapiservice import RESERVED_ENV, FastAPIService
from plimsoll.api.pods import Effect, Operator
from plimsoll.api.workloads import ServiceType

if TYPE_CHECKING:
    from collections.abc import Callable

    from plimsoll.api.kinds import Kind
    from plimsoll.api.meta import Wire
    from plimsoll.api.pods import Toleration
    from plimsoll.api.workloads import Autoscaling

_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_CONTRACT: Final = ("DATABASE_URL", "DB_POOL_SIZE", "DB_MAX_OVERFLOW")


def _selects(budget: ConnectionBudget) -> bool:
    allowed = budget.spec.allowed_namespaces
    if allowed.from_ is NamespacesFrom.SELECTOR:
        return allowed.selector is not None and bool(allowed.selector.match_labels)
    return allowed.selector is None


def _ordered(autoscaling: Autoscaling | None) -> bool:
    return autoscaling is None or autoscaling.min_replicas <= autoscaling.max_replicas


def _has_its_own_env(service: FastAPIService) -> bool:
    names = {each.name for each in service.spec.env}
    prefixes = (each.name.upper().replace("-", "_") for each in service.spec.additional_databases)
    return not any(f"{prefix}_{name}" in names for prefix in prefixes for name in _CONTRACT)


def _tolerates(one: Toleration) -> bool:
    fits = one.key is not None if one.operator is Operator.EQUAL else one.value is None
    return fits and (one.toleration_seconds is None or one.effect is Effect.NO_EXECUTE)


BUDGET_RULES: Final[dict[str, Callable[[ConnectionBudget], bool]]] = {
    "staleAfterSeconds:": lambda each: each.spec.stale_after_seconds >= 2 * each.spec.probe_interval_seconds,
    "allowedNamespaces:": _selects,
}
SERVICE_RULES: Final[dict[str, Callable[[FastAPIService], bool]]] = {
    "rollout:": lambda each: each.spec.rollout.max_surge + each.spec.rollout.max_unavailable > 0,
    "web: autoscaling": lambda each: _ordered(each.spec.web.autoscaling),
    "jobs: autoscaling": lambda each: all(_ordered(group.autoscaling) for group in each.spec.jobs),
    "database.pool: minSize": lambda each: (each.spec.database.pool.min_size or 1) <= each.spec.database.pool.size,
    "web.service: nodePort": lambda each: (
        each.spec.web.service.node_port is None or each.spec.web.service.type is ServiceType.NODE_PORT
    ),
    "pod.tolerations:": lambda each: all(map(_tolerates, each.spec.pod.tolerations)),
    "envFrom:": lambda each: all(
        (one.secret_ref is None) != (one.config_map_ref is None) for one in each.spec.env_from
    ),
    "env: this name": lambda each: not any(env.name in RESERVED_ENV for env in each.spec.env),
    "env: NAME_DATABASE_URL": _has_its_own_env,
    "metadata.name:": lambda each: _NAME.fullmatch(each.metadata.name) is not None,
}


def broken(model: Wire, kind: Kind) -> str:
    """The message of the first rule that ``model`` breaks; empty where it breaks none."""
    starts: list[str] = []
    sums: list[str] = []
    if isinstance(model, ConnectionBudget):
        starts = [start for start, holds in BUDGET_RULES.items() if not holds(model)]
    elif isinstance(model, FastAPIService):
        starts = [start for start, holds in SERVICE_RULES.items() if not holds(model)]
        sums = [each.refusal(model.spec.shutdown) for each in kind.sums]
    messages = (*kind.rules.values(), *kind.object_rules.values())
    said = [message for start in starts for message in messages if message.startswith(start)]
    return next((each for each in (*said, *sums) if each), "")
