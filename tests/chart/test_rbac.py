"""The operator's rights are exactly those that it uses, as seen in a whole life of a service."""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING

import pytest
import structlog
import yaml
from plimsoll_operator.cluster import RESOURCES
from plimsoll_operator.handlers import build_registry
from support.builders import budget_manifest, group
from support.helm import ROOT, render
from support.operated import BUDGET, Operated
from support.virtual_loop import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll.api.meta import Manifest

VERBS = {
    "get": ("", {"get"}),
    "list": ("", {"list"}),
    "apply": ("", {"create", "patch"}),
    "overwrite": ("", {"update"}),
    "create": ("", {"create"}),
    "delete": ("", {"delete"}),
    "replace_status": ("/status", {"update"}),
    "merge_status": ("/status", {"patch"}),
}
"""What each call of the cluster client needs."""

CPU = {"requests": {"cpu": "100m"}}

Rights = set[tuple[str, str, str]]
"""Group, resource and verb."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@cache
def usual() -> tuple[Manifest, ...]:
    return tuple(render())


def granted() -> Rights:
    role = next(each for each in usual() if each["kind"] == "ClusterRole")
    return {
        (group_, resource, verb)
        for rule in role["rules"]
        for group_ in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used() -> Rights:
    """Everything that the reconcilers do in the lives of a service and its budget."""
    operated = Operated(admission=True)
    operated.budget()
    operated.service(jobs=(group(),), migration=1)
    operated.settle()
    operated.edit(jobs=(), migration=1, image="shop:2", web={"autoscaling": {"maxReplicas": 3}, "resources": CPU})
    operated.settle()
    for kind, name, items in (("Deployment", "shop-web", "containers"), ("Service", "shop", "ports")):
        disturb(operated, kind, name, items)
    operated.settle()
    operated.edit(jobs=(), migration=1, image="shop:2")
    operated.settle()
    operated.cluster.put(budget_manifest(namespace="platform", everyone=True))
    operated.edit(budget_namespace="platform")
    operated.settle()
    operated.cluster.remove("FastAPIService", "demo", "shop")
    operated.settle()
    run(lambda _: operated.reconciler.resync())
    assert operated.claims() == {}
    operated.cluster.remove("ConnectionBudget", "demo", "main")
    operated.look(BUDGET)
    rights = set()
    for call in operated.cluster.calls:
        suffix, verbs = VERBS[call.verb]
        resource = RESOURCES[call.kind]
        rights |= {(resource.group, resource.plural + suffix, verb) for verb in verbs}
    return rights


def disturb(operated: Operated, kind: str, name: str, items: str) -> None:
    """Somebody adds an item to a list of a child."""
    spec = copy.deepcopy(operated.cluster.read(kind, "demo", name)["spec"])
    found = spec["template"]["spec"] if "template" in spec else spec
    found[items].append({**found[items][0], "name": "foreign"})
    operated.cluster.edit_spec(kind, "demo", name, **spec)
    operated.world.run()


def watched() -> Rights:
    """What kopf lists and watches."""
    registry = build_registry(queue=None, healthy=lambda: None)  # type: ignore[arg-type]  # nothing is queued here
    return {
        (selector.group or "", str(selector.any_name or selector.plural), verb)
        for selector in (handler.selector for handler in registry._watching._handlers)
        if selector is not None
        for verb in ("list", "watch")
    }


def test_the_role_grants_what_is_used_and_nothing_else() -> None:
    finalizers = {("plimsoll.dev", "fastapiservices/finalizers", "update")}  # checked for blockOwnerDeletion alone
    secrets = {("", "secrets", "get")}  # granted by each Secret's owner, never by the chart
    assert granted() == (used() | watched() | finalizers) - secrets


def test_it_grants_no_secret() -> None:
    assert not {resource for _, resource, _ in granted()} & {"secrets", "*"}
    assert not {verb for _, _, verb in granted()} & {"*", "escalate", "bind", "impersonate"}


def test_the_role_is_bound_to_the_operators_own_account() -> None:
    manifests = {each["kind"]: each for each in render(release="other")}
    binding = manifests["ClusterRoleBinding"]
    assert binding["roleRef"]["name"] == manifests["ClusterRole"]["metadata"]["name"]
    assert binding["subjects"] == [
        {
            "kind": "ServiceAccount",
            "name": manifests["ServiceAccount"]["metadata"]["name"],
            "namespace": "plimsoll-system",
        }
    ]
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == manifests["ServiceAccount"]["metadata"]["name"]


def test_names_of_two_releases_differ_and_an_own_name_is_not_doubled() -> None:
    names = {release: _name(release) for release in ("plimsoll", "other", "my-plimsoll")}
    assert names == {
        "plimsoll": "plimsoll-operator",
        "other": "other-plimsoll-operator",
        "my-plimsoll": "my-plimsoll-operator",
    }


def _name(release: str) -> str:
    return str(next(each for each in render(release=release) if each["kind"] == "Deployment")["metadata"]["name"])


def test_the_quickstart_grants_its_secret_to_the_operator_that_the_chart_installs() -> None:
    account = next(each for each in usual() if each["kind"] == "ServiceAccount")["metadata"]
    example = yaml.safe_load_all((ROOT / "examples/quickstart.yaml").read_text())
    binding = next(each for each in example if each["kind"] == "RoleBinding")
    assert [(each["name"], each["namespace"]) for each in binding["subjects"]] == [
        (account["name"], account["namespace"])
    ]
