"""For a pull request's comment: the verdict first, then one table per budget."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from plimsoll_cli.model import State
from plimsoll_cli.output import words

if TYPE_CHECKING:
    from plimsoll_cli.model import BudgetPlan, Plan

_MARKS: Final = {
    State.HELD: "held",
    State.FITS: "✅ fits",
    State.SHRUNK: "✅ smaller pool",
    State.WAITS: "⏸ waits",
    State.OVER: "❌ over the line",
}
_SPECIAL: Final = re.compile(r"([\\`*\[\]<>|~#&]|(?<!\w)_|_(?!\w))")


def text(plan: Plan) -> str:
    """The plan in GitHub's Markdown."""
    lines = [f"### {'❌' if plan.is_over else '✅'} {_plain(words.verdict(plan))}", ""]
    for service in plan.services:
        if said := words.becomes(service):
            lines += [f"- **{_plain(str(service.service))}** {_plain(said)}"]
    if lines[-1]:
        lines.append("")
    for budget in plan.budgets:
        lines += _budget(budget)
    lines += [f"- Warning: {_plain(each)}" for each in plan.warnings]
    return "\n".join(lines).rstrip("\n") + "\n"


def _budget(budget: BudgetPlan) -> list[str]:
    rows = [
        f"| {_plain(str(row.service))} | {_MARKS[row.state]} | {words.count(row)} |"
        f" {'<br>'.join(_plain(term) for term in row.terms)} |"
        for row in budget.rows
    ]
    if budget.elsewhere:
        rows.append(f"| {_plain(', '.join(budget.shared_with))} | held | {budget.elsewhere} | same server |")
    return [
        f"**Budget {_plain(str(budget.key))}**: {_plain(words.balance(budget))}",
        "",
        "| service | | connections | how |",
        "| --- | --- | ---: | --- |",
        *rows,
        f"| **free** | | **{budget.free}** | |",
        "",
        f"{_plain(words.arithmetic(budget))}",
        "",
    ]


def _plain(said: str) -> str:
    """Text that means nothing to Markdown: names of other clients are anybody's."""
    return _SPECIAL.sub(r"\\\1", " ".join(said.split())).replace("@", "@\u200b")  # nobody is to be notified
