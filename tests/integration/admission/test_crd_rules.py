"""What one object alone shows to be wrong is refused by the CRD's own rules, each in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from integration.admission.stage import budget, service
from plimsoll.api.fastapiservice import RESERVED_ENV, Shutdown
from plimsoll.api.kinds import KINDS

if TYPE_CHECKING:
    from integration.admission.stage import Stage
    from plimsoll.api.meta import Manifest

pytestmark = pytest.mark.integration

BOUNDS = {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}
ORDERS = {"name": "orders-eu", "budgetRef": {"name": "o"}, "secretRef": {"name": "o"}}
BROKEN = {
    "rollout: maxSurge": service(rollout={"maxSurge": 0, "maxUnavailable": 0}),
    "web: autoscaling": service(web=BOUNDS),
    "jobs: autoscaling": service(jobs=[{"name": "a", "command": ["x"]}, {"name": "b", "command": ["x"], **BOUNDS}]),
    "database.pool: minSize": service(database={"pool": {"size": 4, "minSize": 5}}),
    "web.service: nodePort": service(web={"service": {"nodePort": 30000}}),
    "pod.tolerations:": service(pod={"tolerations": [{"key": "a"}, {"value": "x"}]}),
    "envFrom:": service(envFrom=[{"secretRef": {"name": "a"}}, {"prefix": "B_"}]),
    "env: this name": service(env=[{"name": "MINE"}, {"name": "DB_POOL_SIZE", "value": "50"}]),
    "env: NAME_DATABASE_URL": service(additionalDatabases=[ORDERS], env=[{"name": "ORDERS_EU_DB_POOL_SIZE"}]),
    "metadata.name:": service("9lives"),
    "staleAfterSeconds:": budget(staleAfterSeconds=59, probeIntervalSeconds=30),
    "allowedNamespaces:": budget(allowedNamespaces={"from": "Selector"}),
}
"""How the sentence of each rule begins → what breaks it."""

MORE = {
    "pod.tolerations:": [
        service(pod={"tolerations": [broken]})
        for broken in (
            {"operator": "Exists", "value": "x"},
            {"key": "a", "tolerationSeconds": 5},
            {"key": "a", "tolerationSeconds": 5, "effect": "NoSchedule"},
        )
    ],
    "envFrom:": [service(envFrom=[{"secretRef": {"name": "a"}, "configMapRef": {"name": "b"}}])],
    "env: this name": [service(env=[{"name": name}]) for name in RESERVED_ENV],
    "env: NAME_DATABASE_URL": [
        service(additionalDatabases=[ORDERS], env=[{"name": f"ORDERS_EU_{name}"}])
        for name in ("DATABASE_URL", "DB_MAX_OVERFLOW")
    ],
    "metadata.name:": [service(name) for name in ("a.b", "a" * 64)],
    "allowedNamespaces:": [
        budget(allowedNamespaces={"from": "Selector", "selector": {}}),
        budget(allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {}}}),
        budget(allowedNamespaces={"from": "All", "selector": {"matchLabels": {"team": "a"}}}),
    ],
}

WHOLE = [
    service(rollout={"maxSurge": 0, "maxUnavailable": 1}),
    service(web={"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}),
    service(database={"pool": {"size": 5, "minSize": 5}}),
    service(web={"service": {"type": "NodePort", "nodePort": 30000}}),
    service(additionalDatabases=[ORDERS], env=[{"name": name} for name in ("MY_DB_POOL_SIZE", "ORDERS_EU_DEBUG")]),
    service(envFrom=[{"secretRef": {"name": "a"}}, {"prefix": "B_", "configMapRef": {"name": "b"}}]),
    service(pod={"tolerations": [{"operator": "Exists"}, {"key": "a", "effect": "NoExecute", "tolerationSeconds": 5}]}),
    service("a" * 63),
    budget(staleAfterSeconds=60, probeIntervalSeconds=30),
    budget(allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}),
]
"""Beside each of these rules, and on its right side."""


def sentences() -> list[str]:
    return [words for kind in KINDS for words in (*kind.rules.values(), *kind.object_rules.values())]


def test_every_rule_has_a_case_here() -> None:
    met = [[words for words in sentences() if words.startswith(begins)] for begins in BROKEN]
    assert [len(each) for each in met] == [1] * len(BROKEN)
    assert sorted(words for each in met for words in each) == sorted(sentences())


@pytest.mark.parametrize("begins", BROKEN)
def test_what_breaks_a_rule_is_refused_in_its_words(bare: Stage, begins: str) -> None:
    (sentence,) = (words for words in sentences() if words.startswith(begins))
    for broken in (BROKEN[begins], *MORE.get(begins, [])):
        answer = bare.try_out(broken)
        assert answer.code == 422, broken
        assert sentence in answer.words


@pytest.mark.parametrize("manifest", WHOLE)
def test_what_keeps_to_them_is_taken(bare: Stage, manifest: Manifest) -> None:
    assert bare.try_out(manifest).must()


DEADLINES = [
    {"requestDeadlineSeconds": 3584},
    {"requestDeadlineSeconds": 3585},
    {"preStopSeconds": 86400, "drainSeconds": 86400, "requestDeadlineSeconds": 86400, "lifespanSeconds": 86400},
    {"preStopSeconds": 1000, "drainSeconds": 1000, "requestDeadlineSeconds": 1000, "lifespanSeconds": 594},
    {"preStopSeconds": 1000, "drainSeconds": 1000, "requestDeadlineSeconds": 1000, "lifespanSeconds": 595},
    {"jobDeadlineSeconds": 21589},
    {"jobDeadlineSeconds": 21590},
    {"jobDeadlineSeconds": 86400, "lifespanSeconds": 3600},
]


@pytest.mark.parametrize("deadlines", DEADLINES)
def test_deadlines_that_add_up_to_too_much_are_refused_with_the_sum_that_python_says(
    bare: Stage, deadlines: Manifest
) -> None:
    answer = bare.try_out(service(shutdown=deadlines))
    sums = [each for kind in KINDS for each in kind.sums]
    refusals = [words for each in sums if (words := each.refusal(Shutdown.model_validate(deadlines)))]
    assert answer.code == (422 if refusals else 201), answer.words
    assert [words for words in refusals if words not in answer.words] == []
