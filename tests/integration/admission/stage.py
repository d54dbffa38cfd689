"""CRDs, namespaces, budgets and the policy on an API server, and the wait until the policy goes by what was written."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from plimsoll.api.admission import policy
from plimsoll.api.crd import crd
from plimsoll.api.kinds import KINDS
from plimsoll.api.meta import API_VERSION, Manifest
from plimsoll.render.admission import binding
from support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.api import Answer, Api

NAMESPACES: Final = {"demo": {"team": "a"}, "shop": {"team": "b", "tier": "gold"}, "platform": {}}
"""Names and labels. Budgets are in the first and the last."""

WITH_BUDGETS: Final = ("demo", "platform")

_numbers = itertools.count(1)


def budget(name: str = "main", *, namespace: str = "demo", **spec: Any) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "ConnectionBudget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"secretRef": {"name": "server"}, **spec},
    }


def service(name: str = "", *, namespace: str = "demo", budget: str = "main", **spec: Any) -> Manifest:
    """A service of 2 + 1 surge pods with 5 connections each, unless said otherwise."""
    where, _, of = budget.rpartition("/")
    database = {"budgetRef": {"name": of} | ({"namespace": where} if where else {}), "secretRef": {"name": "own"}}
    return {
        "apiVersion": API_VERSION,
        "kind": "FastAPIService",
        "metadata": {"name": name or f"s{next(_numbers)}", "namespace": namespace},
        "spec": {"image": "shop:1", **spec, "database": database | spec.get("database", {})},
    }


class Stage:
    """An API server with the custom resources, and the policy in force."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def budget(self, status: Manifest | None = None, **wishes: Any) -> Manifest:
        """Creates a budget with a status, and waits until the policy knows of both."""
        made = self.add(budget(**wishes), status)
        self.settle()
        return made

    def add(self, manifest: Manifest, status: Manifest | None = None) -> Manifest:
        """Creates an object, with a status."""
        made = self.api.create(manifest).must()
        return self.api.set_status(made, status).must() if status else made

    def set_status(self, made: Manifest, **status: Any) -> None:
        """Changes a budget's status, and waits until the policy knows."""
        self.api.set_status(made, status).must()
        self.settle()

    def settle(self) -> None:
        """Waits until the policy goes by all budgets as they are now: it hears of them in the order of writing."""
        name = f"full-{next(_numbers)}"
        self.add(budget(name), {"capacity": 0})
        eventually(lambda: not self.try_out(service(budget=name)).taken)

    def try_out(self, manifest: Manifest) -> Answer:
        """What would become of it, were it created."""
        return self.api.create(manifest, dry=True)

    def force(self, changed: Manifest | None = None, *, mark: str = "") -> None:
        """Puts the policy, or a changed one, in force, and waits until it is.

        It fails on an error of its expressions, where the chart's lets the service pass: here an error is to be seen.
        Each of its refusals ends with ``mark``.
        """
        manifest = deepcopy(changed or policy())
        manifest["spec"]["failurePolicy"] = "Fail"
        mark = mark or f" [{next(_numbers)}]"
        for validation in manifest["spec"]["validations"]:
            validation["messageExpression"] = f"({validation['messageExpression']}) + '{mark}'"
        self.mark = mark
        self.api.apply(manifest).must()
        for namespace in WITH_BUDGETS:
            self.api.apply(binding(namespace)).must()
            trial = service(namespace=namespace, budget="full")
            eventually(partial(self._ends_with, mark, trial), within=30)

    def _ends_with(self, mark: str, trial: Manifest) -> bool:
        return self.try_out(trial).words.endswith(mark)

    def said(self, answer: Answer) -> str:
        """The policy's own words in a refusal."""
        assert answer.words.endswith(self.mark), answer.words
        return answer.words.partition("denied request: ")[2].removesuffix(self.mark)


@contextmanager
def staged(api: Api) -> Iterator[Stage]:
    """The custom resources and namespaces, with a full budget in each that has some; the policy is not in force yet.

    On an API server of our own nothing is taken back, since that goes; on any other everything is.
    """
    crds = [crd(kind) for kind in KINDS]
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, labels in NAMESPACES.items()
    ]
    if not api.own and not all(_gone(api, each) for each in (*crds, *spaces)):
        pytest.skip("the cluster of $KUBECONFIG holds Plimsoll or namespaces of these names, not to be overwritten")
    try:
        for each in crds:
            api.define(each)
        for each in spaces:
            api.apply(each).must()
        stage = Stage(api)
        for namespace in WITH_BUDGETS:
            full = budget("full", namespace=namespace)
            api.apply(full).must()
            api.set_status(full, {"capacity": 0}).must()
        yield stage
    finally:
        if not api.own:
            for each in (policy(), *map(binding, WITH_BUDGETS), *spaces, *crds):
                api.delete(each)
            for each in (*spaces, *crds):
                eventually(partial(_gone, api, each), within=60)


def _gone(api: Api, manifest: Manifest) -> bool:
    return not api.get(manifest["kind"], manifest["metadata"]["name"]).taken
