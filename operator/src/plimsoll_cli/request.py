"""From the command line to a plan: files, numbers and, with ``--live``, the cluster, put together."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from plimsoll.api.meta import BudgetKey
from plimsoll.budget.demand import Overlap

from plimsoll_cli import facts, live
from plimsoll_cli.check import Input, check_references, checked
from plimsoll_cli.plan import plan, with_facts, with_spec
from plimsoll_cli.source import BadInput, documents

if TYPE_CHECKING:
    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.fastapiservice import FastAPIService

    from plimsoll_cli.model import Plan

DSN_VARIABLE: Final = "PLIMSOLL_DSN"
"""A URI holds a password, and a command line is seen by everybody on the machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The options of ``plan``."""

    paths: tuple[str, ...]
    max_connections: tuple[str, ...] = ()
    superuser_reserved: int = 3
    reserved: int = 0
    dsn: tuple[str, ...] = ()
    dsn_option: str = "--dsn"
    """Where these come from."""

    live: bool = False
    overlap: Overlap = Overlap.GUARDED
    namespace: str = "default"


def planned(request: Request) -> Plan:
    """The plan that is asked for.

    Raises:
        PlimsollError: what was given cannot be planned, or server or cluster cannot be asked.
    """
    request = _with_one_source(request)
    given = checked(documents(request.paths), namespace=request.namespace)
    if request.paths and not given.budgets and not given.services:
        raise BadInput(f"{', '.join(request.paths)}: no ConnectionBudget and no FastAPIService in there.")
    if request.live:
        return _in_the_cluster(given, overlap=request.overlap)
    keys = [budget.key for budget in given.budgets]
    check_references(given, known=keys, live=False)
    servers = facts.facts_of(
        keys,
        numbers=request.max_connections,
        uris=request.dsn,
        uri_option=request.dsn_option,
        superuser_reserved=request.superuser_reserved,
        reserved=request.reserved,
    )
    names = {service.metadata.namespace: service for service in given.services}
    return plan(
        budgets=[with_facts(budget, servers[budget.key]) for budget in given.budgets],
        services=[_with_uid(service) for service in given.services],
        labels={name: {"kubernetes.io/metadata.name": name, **given.labels.get(name, {})} for name in names},
        overlap=request.overlap,
        warnings=given.warnings,
    )


def _with_one_source(request: Request) -> Request:
    if not (request.max_connections or request.dsn or request.live) and (uris := os.environ.get(DSN_VARIABLE, "")):
        request = replace(request, dsn=tuple(uris.split()), dsn_option=DSN_VARIABLE)
    if bool(request.max_connections or request.dsn) == request.live:
        raise BadInput(
            "Say where the server's numbers come from, by one of: --max-connections 100 (by hand), --dsn URI or"
            f" {DSN_VARIABLE} (asks the server), --live (asks the cluster of the current kubeconfig)."
        )
    if not request.paths and not request.live:
        raise BadInput("Name the files or folders with the manifests, or - for standard input.")
    return request


def _in_the_cluster(given: Input, *, overlap: Overlap) -> Plan:
    """What becomes of the cluster when the files are applied; without files, as it is."""
    there = live.world(service.metadata.namespace for service in given.services)
    budgets: dict[BudgetKey, ConnectionBudget] = dict(there.budgets)
    for wish in given.budgets:
        budgets[wish.key] = with_spec(budgets[wish.key], wish) if wish.key in budgets else wish
    check_references(given, known=budgets, live=True)
    services = [_as_there(service, there) for service in given.services] or list(there.services.values())
    named = {key for service in given.services for key in service.budget_keys}
    named |= {budget.key for budget in given.budgets}
    return plan(
        budgets=budgets.values(),
        services=services,
        labels={name: {**there.labels.get(name, {}), **given.labels.get(name, {})} for name in there.labels},
        overlap=overlap,
        now=there.now,
        about=named or None,
        warnings=given.warnings,
    )


def _as_there(service: FastAPIService, there: live.World) -> FastAPIService:
    """The wish under the identity of the object that it changes: whose claim it is, and the pool that it has."""
    old = there.services.get(BudgetKey(service.metadata.namespace, service.metadata.name))
    return _with_uid(service) if old is None else old.model_copy(update={"spec": service.spec})


def _with_uid(service: FastAPIService) -> FastAPIService:
    """A service that no cluster knows yet; claims are by uid."""
    meta = service.metadata
    return service.model_copy(update={"metadata": meta.model_copy(update={"uid": f"{meta.namespace}/{meta.name}"})})
