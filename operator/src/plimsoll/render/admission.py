"""The binding of the admission policy to the budgets of one namespace.

The policy (``api/admission.py``) comes with the chart. A parameter of a namespaced kind is looked for in a namespace
that the binding names, so there is one binding for each that holds budgets. It has no owner: nothing cluster-scoped can
be owned by a budget. The operator makes it and takes it away; one that is left behind finds no budget: all pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.api.admission import POLICY
from plimsoll.render.names import MANAGED_BY, MANAGER

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest


def binding_name(namespace: str) -> str:
    """Cluster-wide name of a namespace's binding."""
    return f"plimsoll-{namespace}"


def binding(namespace: str) -> Manifest:
    """The binding for every budget of ``namespace``; services of other namespaces may refer to these as well."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": binding_name(namespace), "labels": {MANAGED_BY: MANAGER}},
        "spec": {
            "policyName": POLICY,
            "paramRef": {"namespace": namespace, "selector": {}, "parameterNotFoundAction": "Allow"},
            "validationActions": ["Deny"],
        },
    }
