"""The arithmetic exists twice, in CEL and in Python: thousands of requests, and both say the same of each.

Every request is a dry run on a real API server, with all budgets as they are; so each tells on its own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from integration.admission.expected import Known, explained, refusals
from integration.admission.worlds import Draw, budgets, cases, tuned
from plimsoll.api.admission import LONGEST_ARITHMETIC, policy
from plimsoll.api.connectionbudget import ConnectionBudget

if TYPE_CHECKING:
    from collections.abc import Iterable

    from integration.admission.expected import Case
    from integration.admission.stage import Stage
    from plimsoll.api.meta import BudgetKey, Manifest

pytestmark = pytest.mark.integration

SEED: Final = 20260101
LIVE, CREATES, UPDATES = 40, 2000, 400
CONNECTIONS: Final = 4
STEPS: Final = 50
"""Of the cases, so many parts, each with its share of creates and updates."""


@dataclass(frozen=True, slots=True)
class Result:
    """What both said of one request."""

    case: Case
    expected: frozenset[str]
    said: str

    @property
    def agrees(self) -> bool:
        """Of several refusals the API server tells one."""
        return self.said in self.expected if self.expected else not self.said


@dataclass(frozen=True, slots=True)
class World:
    """Everything that the requests are about."""

    stage: Stage
    budgets: dict[BudgetKey, Known]
    cases: list[Case]
    close: list[Case]
    """Those of the cases in which little decides: tuned ones, and updates."""

    def ask(self, some: Iterable[Case]) -> list[Result]:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(self._ask, some))

    def first_disagreement(self) -> Result | None:
        """The first that is met; most mistakes show in the first part, and all among few cases."""
        for some in (self.close, self.cases):
            for start in range(STEPS):
                for each in self.ask(some[start::STEPS]):
                    if not each.agrees:
                        return each
        return None

    def _ask(self, case: Case) -> Result:
        api = self.stage.api
        answer = (api.replace if case.old else api.create)(case.manifest, dry=True)
        said = "" if answer.taken else self.stage.said(answer)
        return Result(case, frozenset(refusals(case, self.budgets)), said)


@pytest.fixture(scope="module")
def world(bare: Stage) -> World:
    """Live services first, since whoever is over a budget already could not be created with the policy in force."""
    draw = Draw(Random(SEED))  # noqa: S311 - to be repeated, not to be secret
    live = [bare.api.create(draw.service()).must() for _ in range(LIVE)]
    asked = cases(draw, live, creates=CREATES, updates=UPDATES)
    made = budgets(draw, asked)
    for each in made:
        bare.add({key: value for key, value in each.items() if key != "status"}, each["status"])
    bare.force()
    bare.settle()
    known = {each.key: Known.of(each) for each in map(ConnectionBudget.model_validate, made)}
    exact = [tuned(draw, case, known) for case in asked]
    close = [case for case, before in zip(exact, asked, strict=True) if case is not before or case.old]
    return World(bare, known, exact, close)


@pytest.fixture(scope="module")
def results(world: World) -> list[Result]:
    return world.ask(world.cases)


def test_they_agree(results: list[Result]) -> None:
    wrong = [each for each in results if not each.agrees]
    assert not wrong, f"{len(wrong)} of {len(results)}, the first:\n{wrong[0]}"


def test_the_requests_are_of_every_kind(results: list[Result]) -> None:
    """Otherwise agreement would say little."""
    creates = [each for each in results if each.case.old is None]
    updates = [each for each in results if each.case.old is not None]
    assert len(creates) >= 2000
    for some in (creates, updates):
        refused = sum(bool(each.said) for each in some)
        assert 0.2 * len(some) < refused < 0.8 * len(some)
    for words in ("does not allow", "its smallest", "restarting", "; jobs ", "; migration ", " extra", " pool d1", "…"):
        assert sum(words in each.said for each in results) >= 5, words


def test_the_sentences_are_those_that_the_operator_would_write_on_the_object(
    world: World, results: list[Result]
) -> None:
    """All but the arithmetic that was cut; the operator's explanation goes on where the policy's ends."""
    over = [each for each in results if each.said.startswith("Needs ") and "…" not in each.said][:200]
    assert len(over) == 200
    for each in over:
        known = (world.budgets[key] for key in each.case.service.budget_keys if key in world.budgets)
        whole = [explained(each.case, one.budget.key, one.ledger) for one in known if one.ledger.capacity is not None]
        arithmetic, free, *floor = (
            each.said.replace(" Budget", "\nBudget").replace(" Not even", "\nNot even").split("\n")
        )
        assert any(text.startswith(f"{arithmetic} {free}") and all(end in text for end in floor) for text in whole)


def _changed(name: str, before: str, after: str) -> Manifest:
    changed = policy()
    parts = [*changed["spec"]["variables"], *changed["spec"]["validations"]]
    part = next(each for each in parts if name in {each.get("name"), each.get("reason")} and before in str(each))
    field = "expression" if before in part["expression"] else "messageExpression"
    assert before in part[field]
    part[field] = part[field].replace(before, after)
    return changed


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("pods", "variables.replicas + variables.surge", "variables.replicas"),
        ("processes", " + int(object.spec.web.restartingWorkers)", ""),
        ("perCpu", "variables.cpus < 1.0 ? 1", "variables.cpus < 1.0 ? 2"),
        ("cpus", " && !variables.cpu.matches('[eE][-+0-9]')", ""),
        ("perProcess", "int(d.poolSize) + int(d.maxOverflow)", "int(d.poolSize)"),
        ("groups", " + variables.groupExtra", ""),
        ("migration", "variables.own && ", ""),
        ("floor", " + 1) / 2", ") / 2"),
        ("others", "c.uid != variables.uid", "true"),
        ("othersDearest", "int(c.perPod)", "0"),
        ("taken", " + int(params.?status.?claimedElsewhere.orValue(0))", ""),
        ("leastFree", "variables.perProcess - variables.spared", "variables.perProcess"),
        ("allowed", "params.spec.allowedNamespaces.from == 'All' || ", ""),
        ("Forbidden", "variables.least <= variables.leastFree", "variables.least < variables.leastFree"),
        ("Forbidden", "oldObject != null && variables.least <= variables.oldLeast || ", ""),
        ("Forbidden", " || variables.least <= variables.held", ""),
        ("Forbidden", " || oldObject != null && variables.oldRefers", ""),
        ("webText", " surge)", " more)"),
        ("arithmetic", str(LONGEST_ARITHMETIC), str(10 * LONGEST_ARITHMETIC)),
    ],
)
def test_a_policy_that_counts_otherwise_is_found_out(world: World, name: str, before: str, after: str) -> None:
    world.stage.force(_changed(name, before, after))
    assert world.first_disagreement()
