"""With no operator running, the API server itself still refuses what does not fit, with the sum; what fits passes."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from support.kube import KubectlError
from support.stage import SERVICE, example
from support.story import OPERATOR_NAMESPACE

OPERATOR = "deployment/plimsoll-operator"


@contextlib.contextmanager
def no_operator(kube):
    """Scaled to zero, every pod of it gone; back, and ready, at the end."""
    where = f"--namespace={OPERATOR_NAMESPACE}"
    kube.run("scale", OPERATOR, "--replicas=0", where)
    try:
        kube.until(
            "no operator runs", lambda: not kube.list("pods", namespace=OPERATOR_NAMESPACE), within=60, every=0.5
        )
        yield
    finally:
        kube.run("scale", OPERATOR, "--replicas=1", where)
        kube.run("rollout", "status", OPERATOR, "--timeout=120s", where, seconds=130)


def test_an_over_budget_apply_is_refused_with_the_arithmetic_and_no_operator(demo, kube, images):
    (manifest,) = example("over-budget.yaml", namespace="demo", images=images)
    with no_operator(kube):
        with pytest.raises(KubectlError) as refused:
            kube.apply(manifest)
        print(f"\n{refused.value}")
        sum_ = "Needs 240 connections: web (1 + 1 surge) pods × 4 processes × (10 pool + 20 overflow) = 240."
        assert sum_ in str(refused.value)
        assert "Budget demo/main has 0 free for it: 91 − 120 margin − 20 held by others." in str(refused.value)
        assert kube.get(SERVICE, "reports", namespace="demo") is None

        # 2 × 4 × 5 = 40, and 4 × 5 = 20 for the margin, of 91 − 20: it is the sum that is refused, not the apply.
        manifest["spec"]["database"]["pool"] = {"size": 5}
        passed = kube.run("apply", "--dry-run=server", "--filename=-", stdin=yaml.safe_dump(manifest))
        assert "created (server dry run)" in passed
