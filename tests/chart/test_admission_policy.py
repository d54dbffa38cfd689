"""The admission policy: generated, never by hand, and switched together with what the operator does for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from plimsoll.api.admission import POLICY, document, policy
from plimsoll.render.admission import binding
from support.helm import CHART, refusal, render
from support.schemas import validate

KIND = "ValidatingAdmissionPolicy"
ADMISSION = "admissionregistration.k8s.io"


def test_the_committed_policy_is_the_generated_one() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "plimsoll.api.admission"], capture_output=True, text=True, check=True
    ).stdout
    assert printed == document()
    assert (CHART / "files/admission.yaml").read_text() == printed, (
        "chart/files/admission.yaml is not what plimsoll.api.admission says: `make generate` writes it anew"
    )


def test_the_chart_installs_it_with_the_common_labels() -> None:
    (rendered,) = [each for each in render("commonLabels.team=platform") if each["kind"] == KIND]
    assert rendered["spec"] == policy()["spec"]
    assert rendered["metadata"]["labels"]["team"] == "platform"
    validate(rendered)


@pytest.mark.parametrize("enabled", [True, False])
def test_policy_rights_and_setting_come_and_go_together(enabled: bool) -> None:
    manifests = render(f"admission.enabled={str(enabled).lower()}")
    role = next(each for each in manifests if each["kind"] == "ClusterRole")
    deployment = next(each for each in manifests if each["kind"] == "Deployment")
    env = {each["name"]: each.get("value") for each in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert [each["metadata"]["name"] for each in manifests if each["kind"] == KIND] == [POLICY] * enabled
    assert [rule["resources"] for rule in role["rules"] if ADMISSION in rule["apiGroups"]] == [
        ["validatingadmissionpolicybindings"]
    ] * enabled
    assert yaml.safe_load(env["PLIMSOLL_OPERATOR_ADMISSION"] or "") is enabled


def test_a_typo_in_the_switch_is_refused_by_name() -> None:
    assert "'enabld'" in refusal("admission.enabld=false")
    assert "'/admission/enabled'" in refusal("admission.enabled=maybe")


def test_the_binding_is_one_of_the_policy_and_valid_by_kubernetes_own_schema() -> None:
    validate(binding("demo"))
    assert binding("demo")["spec"]["policyName"] == policy()["metadata"]["name"]


def test_it_names_each_variable_before_it_is_used() -> None:
    """The API server compiles a variable with only those before it; this says so without one."""
    seen: set[str] = set()
    for each in policy()["spec"]["variables"]:
        used = {word.split("variables.")[1] for word in _words(each["expression"]) if word.startswith("variables.")}
        assert used <= seen, each["name"]
        assert each["name"] not in seen
        seen.add(each["name"])


def _words(expression: str) -> list[str]:
    for mark in "()[]{},!?:+-*/ ":
        expression = expression.replace(mark, " ")
    return [".".join(word.split(".")[:2]) for word in expression.split()]
