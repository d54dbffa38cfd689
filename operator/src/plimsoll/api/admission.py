"""The admission policy: what the ledger would say, said by the API server before anything is stored.

``python -m plimsoll.api.admission`` prints it; ``make generate`` writes it into the chart, and a test fails when the
committed file differs. A binding per namespace of budgets (``render/admission.py``) gives it every ConnectionBudget
there as its parameter; it is evaluated once for each, so all of it is about one service and one budget.

The variables say in CEL what ``budget/demand.py`` (Guarded) and ``budget/ledger.py`` say in Python, and the message is
that of ``explain.py``; tests/integration/admission holds the two together. It advises, and the ledger decides: two
applies at once can both pass; only the operator judges whether a reading is stale, and knows the dearest pod of another
budget of the same server; and ``kubectl scale`` writes fastapiservices/scale, whose object shows neither pools
nor processes. For the same reason an evaluation that fails lets the service pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml

from plimsoll.api.cel import Expression, largest, text, when
from plimsoll.api.cel_demand import NEW, OLD, arithmetic, dearest, demand
from plimsoll.api.meta import API_VERSION, GROUP, VERSION

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

POLICY: Final = "plimsoll"
"""Name of the policy; like the CRDs it is there once in a cluster."""

LONGEST_ARITHMETIC: Final = 2048
"""Characters of the arithmetic that a refusal shows, as many as a status holds; beyond 5 KiB the API server drops the
whole message.
"""

_MATCHED: Final = {
    "apiGroups": [GROUP],
    "apiVersions": [VERSION],  # by name: types are not checked for a *
    "operations": ["CREATE", "UPDATE"],
    "resources": ["fastapiservices"],
}


def _room() -> dict[str, Expression]:
    """What the budget has for the service: ``free``, and ``leastFree`` with the least pool."""

    def margin_with(pod: Expression) -> Expression:
        others = largest("variables.othersDearest", pod)
        return when("has(params.spec.margin)", "int(params.spec.margin)", others)

    def free_with(margin: Expression) -> Expression:
        return largest(f"variables.capacity - {margin} - variables.taken", "0")

    return {
        "known": "has(params.status) && has(params.status.capacity)",
        "claims": "params.?status.?claims.orValue([])",
        # A claim belongs to the object, not to its name: what is left of an older one counts against a new one.
        "uid": "object.metadata.?uid.orValue('')",
        "held": "variables.claims.map(c, c.uid == variables.uid, int(c.connections)).sum()",
        "others": "variables.claims.map(c, c.uid != variables.uid, int(c.connections)).sum()",
        "othersDearest": "([0] + variables.claims.map(c, c.uid != variables.uid, int(c.perPod))).max()",
        "taken": "variables.others + int(params.?status.?claimedElsewhere.orValue(0))",
        "capacity": "int(params.?status.?capacity.orValue(0))",
        "margin": margin_with(dearest(NEW.perProcess)),
        "free": free_with("variables.margin"),
        "leastFree": free_with(margin_with(dearest(f"{NEW.perProcess} - {NEW.spared}"))),
    }


def _allowed() -> Expression:
    """Whether services of the object's namespace may claim from the budget, as ``ConnectionBudget.admits``."""
    allowed, labels = "params.spec.allowedNamespaces", "namespaceObject.metadata.?labels.orValue({})"
    wanted = f"{allowed}.selector.matchLabels"
    return (
        f"object.metadata.namespace == params.metadata.namespace || {allowed}.from == 'All' ||"
        f" {allowed}.from == 'Selector' && {wanted}.size() > 0 &&"
        f" {wanted}.all(k, k in {labels} && {labels}[k] == {wanted}[k])"
    )


def _variables() -> dict[str, Expression]:
    """All variables; each may use those before it, and none is evaluated before it is used."""
    cut = when(
        f"variables.sum.size() > {LONGEST_ARITHMETIC}",
        f"variables.sum.substring(0, {LONGEST_ARITHMETIC}) + '…'",
        "variables.sum",
    )
    return {
        **demand(NEW),
        **demand(OLD),
        **_room(),
        **arithmetic(),
        "arithmetic": cut,
        "allowed": _allowed(),
        "budget": "params.metadata.namespace + '/' + params.metadata.name",
    }


def _namespace_is_allowed() -> Manifest:
    """A reference that is new must be allowed; what the owner takes back stops nothing that was there before."""
    return {
        "expression": f"!{NEW.refers} || variables.allowed || oldObject != null && {OLD.refers}",
        "messageExpression": text(
            "Budget {} does not allow services of namespace {}; its owner can set allowedNamespaces.from to All, or to"
            " Selector with labels of that namespace.",
            "variables.budget",
            "object.metadata.namespace",
        ),
        "message": "Its ConnectionBudget does not allow services of its namespace.",
        "reason": "Forbidden",
    }


def _fits() -> Manifest:
    """It fits with the least pool that it declares, or asks for no more than it did or than it holds already."""
    floor = text(" Not even a pool of {}, its smallest, fits.", f"string({NEW.floor})")
    return {
        "expression": f"!{NEW.refers} || !variables.known || oldObject != null && {NEW.least} <= {OLD.least} ||"
        f" {NEW.least} <= variables.leastFree || {NEW.least} <= variables.held",
        "messageExpression": text(
            "Needs {} connections: {}. Budget {} has {} free for it: {}{}{}.{}",
            f"string({NEW.demand})",
            "variables.arithmetic",
            "variables.budget",
            "string(variables.free)",
            "string(variables.capacity)",
            when("variables.margin > 0", text(" − {} margin", "string(variables.margin)"), "''"),
            when("variables.taken > 0", text(" − {} held by others", "string(variables.taken)"), "''"),
            when("object.spec.whenOver == 'ShrinkPool'", floor, "''"),
        ),
        "message": "It needs more connections than its ConnectionBudget has free for it.",
        "reason": "Forbidden",
    }


def policy() -> Manifest:
    """The ValidatingAdmissionPolicy."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "failurePolicy": "Ignore",
            "paramKind": {"apiVersion": API_VERSION, "kind": "ConnectionBudget"},
            "matchConstraints": {"resourceRules": [_MATCHED]},
            "matchConditions": [{"name": "is-not-going", "expression": "!has(object.metadata.deletionTimestamp)"}],
            "variables": [{"name": name, "expression": value} for name, value in _variables().items()],
            "validations": [_namespace_is_allowed(), _fits()],
        },
    }


def document() -> str:
    """The policy as YAML, as committed in the chart."""
    return yaml.safe_dump(policy(), sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 - printing it is what this command is for
