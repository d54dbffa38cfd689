"""The cluster of the current kubeconfig, as far as it is read: both kinds, the pods, labels of namespaces.

The only module that talks to it, through the operator's own client. Nothing is ever written.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.api.meta import BudgetKey
from plimsoll.errors import Forbidden, NotFound
from plimsoll.render.names import SERVICE
from pydantic import ValidationError

from plimsoll_cli.source import BadInput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from plimsoll.api.meta import Manifest
    from plimsoll_operator.cluster import Cluster

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What ``plan --live`` adds to."""

    budgets: Mapping[BudgetKey, ConnectionBudget]
    services: Mapping[BudgetKey, FastAPIService]
    labels: Mapping[str, Mapping[str, str]]
    now: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What ``explain`` tells of."""

    service: FastAPIService
    budgets: Mapping[BudgetKey, ConnectionBudget | None]
    """Those that it names; ``None`` where there is none, or it may not be read."""

    pods: tuple[Manifest, ...]
    now: str


def world(namespaces: Iterable[str]) -> World:
    """Every budget and service, and the labels of ``namespaces`` and of those that the services are in."""
    return _ask(lambda cluster: _world(cluster, tuple(namespaces)))


def scene(namespace: str, name: str) -> Scene:
    """One service, its budgets and its pods."""
    return _ask(lambda cluster: _scene(cluster, namespace, name))


def _ask(question: Callable[[Cluster], Awaitable[_Answer]]) -> _Answer:
    async def asked() -> _Answer:
        from plimsoll_operator.cluster import Cluster  # noqa: PLC0415 - a large library, for those who ask a cluster

        cluster = await Cluster.connect()
        try:
            return await question(cluster)
        finally:
            await cluster.close()

    return asyncio.run(asked())


async def _world(cluster: Cluster, namespaces: tuple[str, ...]) -> World:
    try:
        budgets = [ConnectionBudget.model_validate(each) for each in await cluster.list("ConnectionBudget")]
        services = await cluster.list("FastAPIService")
    except NotFound:
        raise BadInput(
            "This cluster knows no ConnectionBudgets: install Plimsoll's chart, or apply what `plimsoll crds` prints."
        ) from None
    valid = tuple(service for each in services if (service := _valid(each)) is not None)
    homes = dict.fromkeys((*namespaces, *(each.metadata.namespace for each in valid)))
    return World(
        budgets={budget.key: budget for budget in budgets},
        services={BudgetKey(each.metadata.namespace, each.metadata.name): each for each in valid},
        labels={name: await _labels(cluster, name) for name in homes},
        now=_now(),
    )


async def _scene(cluster: Cluster, namespace: str, name: str) -> Scene:
    try:
        manifest = await cluster.get("FastAPIService", namespace, name)
    except NotFound:
        raise BadInput(
            f"There is no FastAPIService {namespace}/{name}; kubectl get fastapiservices -A lists those there are."
        ) from None
    service = FastAPIService.model_validate(manifest)
    budgets: dict[BudgetKey, ConnectionBudget | None] = {}
    for key in service.budget_keys:
        try:
            budgets[key] = ConnectionBudget.model_validate(await cluster.get("ConnectionBudget", *key))
        except (NotFound, Forbidden):  # another team's, perhaps: the service's own conditions say the rest
            budgets[key] = None
    pods = await cluster.list("Pod", namespace=namespace, labels={SERVICE: name})
    return Scene(service=service, budgets=budgets, pods=tuple(pods), now=_now())


async def _labels(cluster: Cluster, namespace: str) -> Mapping[str, str]:
    named = {"kubernetes.io/metadata.name": namespace}
    try:
        meta = (await cluster.get("Namespace", "", namespace))["metadata"]
    except (NotFound, Forbidden):  # not made yet, or not ours to read: it will have its name at least
        return named
    return {**meta.get("labels", {}), **named}


def _valid(manifest: Manifest) -> FastAPIService | None:
    """The service; one that this version cannot read holds its claim all the same."""
    try:
        return FastAPIService.model_validate(manifest)
    except ValidationError:
        return None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
