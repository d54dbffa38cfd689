"""The policy's expressions hold: with the largest numbers, with nonsense, and for the API server's own type checker.

The policy in force here fails on an error of its expressions (`Stage.force`), so an answer in its words had none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from integration.admission.stage import service
from plimsoll.api.admission import LONGEST_ARITHMETIC, policy
from support.eventually import eventually

if TYPE_CHECKING:
    from integration.admission.stage import Stage
    from plimsoll.api.meta import Manifest

pytestmark = pytest.mark.integration


def test_the_largest_numbers_that_the_api_takes_are_added_up(stage: Stage) -> None:
    most = {"namespace": "demo", "name": "other", "connections": 262143, "perPod": 262143}
    claims = [most | {"uid": f"u{number}"} for number in range(2000)]
    stage.budget({"capacity": 262143, "claimedElsewhere": 262143, "claims": claims}, name="huge")
    job = {
        "command": ["work"],
        "autoscaling": {"maxReplicas": 1000},
        "processes": 64,
        "connectionsPerProcess": 1000,
    }
    more = {
        "budgetRef": {"name": "huge"},
        "secretRef": {"name": "own"},
        "poolSize": 10000,
        "maxOverflow": 10000,
        "jobConnectionsPerProcess": 1000,
    }
    answer = stage.try_out(
        service(
            budget="huge",
            web={"replicas": 1000, "workers": 64, "restartingWorkers": 64},
            rollout={"maxSurge": 1000},
            database={"pool": {"size": 10000, "maxOverflow": 10000}, "extraPerProcess": 1000},
            jobs=[{"name": f"{number:020}", **job} for number in range(16)],
            additionalDatabases=[{"name": f"{number:020}", **more} for number in range(8)],
        )
    )
    said = stage.said(answer)
    pods = 2000
    sum_ = pods * 128 * (21000 + 8 * 20000) + 16 * pods * 64 * 9000
    assert said.startswith(f"Needs {sum_} connections: web (1000 + 1000 surge) pods × (64 + 64 restarting) processes")
    assert said.endswith("…. Budget demo/huge has 0 free for it: 262143 − 23168000 margin − 524548143 held by others.")
    assert len(said) < LONGEST_ARITHMETIC + 150


NO_CPUS: tuple[Any, ...] = ("", "four", "1e9", " 1", "-3", True, None, [], {}, 1e300, -1e300, 10**19, "9" * 99)
NO_LIMITS: tuple[Any, ...] = (None, "none", 1, [], [{"cpu": 4}])


@pytest.mark.parametrize(
    "resources",
    [
        *({"limits": {"cpu": nonsense}} for nonsense in NO_CPUS),
        *({"limits": nonsense} for nonsense in NO_LIMITS),
        {},
        {"requests": {"cpu": 4}},
    ],
)
def test_nonsense_among_the_resources_never_keeps_the_policy_from_answering(stage: Stage, resources: Manifest) -> None:
    answer = stage.try_out(service(budget="full", web={"resources": resources}))
    assert stage.said(answer).startswith("Needs ")


def test_a_number_written_as_a_fraction_is_a_number(stage: Stage) -> None:
    answer = stage.try_out(
        service(budget="full", web={"workers": 2.0}, database={"pool": {"size": 5, "maxOverflow": 1.0}})
    )
    assert "pods × 2 processes × (5 pool + 1 overflow) = 36." in stage.said(answer)


def test_the_type_checker_has_no_warning_for_it(bare: Stage) -> None:
    """An unknown field is a warning, which shows that the checker knows the custom resources by now."""
    wrong, right = _named("wrong"), _named("right")
    wrong["spec"]["validations"][0]["expression"] = "object.spec.web.replica > 0 || params.spec.reserves > 0"
    warnings = eventually(lambda: _checked(bare, wrong).get("expressionWarnings"), within=30)
    assert "undefined field 'replica'" in str(warnings)
    assert "undefined field 'reserves'" in str(warnings)
    assert eventually(lambda: _checked(bare, right), within=30) == {"done": True}
    for each in (wrong, right):
        bare.api.delete(each).must()


def _named(name: str) -> Manifest:
    """The policy under another name, without a binding."""
    return policy() | {"metadata": {"name": name}}


def _checked(stage: Stage, manifest: Manifest) -> Manifest:
    """What the type checker found, once it is done with this generation; where it found nothing, the next is made."""
    live = stage.api.get("ValidatingAdmissionPolicy", manifest["metadata"]["name"])
    if live.taken:
        status = live.body.get("status", {})
        if status.get("observedGeneration") != live.body["metadata"]["generation"]:
            return {}
        if found := status["typeChecking"]:
            return dict(found)
    manifest["spec"]["validations"][0]["message"] = f"Try {time.monotonic()}."
    stage.api.apply(manifest).must()
    return {"done": True} if live.taken else {}
