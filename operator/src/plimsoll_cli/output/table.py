"""For a terminal: one table per budget, with the load line drawn in characters."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from plimsoll_cli.model import State
from plimsoll_cli.output import words

if TYPE_CHECKING:
    from plimsoll_cli.model import BudgetPlan, Plan

_BAR: Final = 72
_MARKS: Final = {
    State.HELD: Text("·"),
    State.FITS: Text("✓", style="green"),
    State.SHRUNK: Text("✓", style="yellow"),
    State.WAITS: Text("–", style="red"),
    State.OVER: Text("✗", style="bold red"),
}


def text(plan: Plan, *, width: int, colour: bool) -> str:
    """The plan for a terminal of ``width`` columns."""
    page = io.StringIO()
    console = Console(file=page, width=width, force_terminal=colour, highlight=False, markup=False, emoji=False)
    for budget in plan.budgets:
        console.print(Text.assemble("Budget ", (str(budget.key), "bold")))
        console.print(Padding(words.arithmetic(budget), (0, 0, 0, 2)))
        if budget.capacity is not None:
            console.print(Padding(_bar(budget), (0, 0, 0, 2)))
        console.print(Padding(_table(budget), (1, 0)))
    for service in plan.services:
        if said := words.becomes(service):
            console.print(Text.assemble(_MARKS[service.state], " ", (str(service.service), "bold"), f" {said}"))
            console.print()
    console.print(Text(words.verdict(plan), style="bold red" if plan.is_over else "bold green"))
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def _table(budget: BudgetPlan) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(budget.rows), header_style="dim")
    table.add_column("")
    table.add_column("SERVICE", overflow="fold")
    table.add_column("CONNECTIONS", justify="right", no_wrap=True)
    table.add_column("HOW", overflow="fold")
    for row in budget.rows:
        style = "red" if row.is_refused else ""
        table.add_row(
            _MARKS[row.state],
            Text(str(row.service), style=style),
            Text(words.count(row), style=style),
            Text("\n".join(row.terms)),
        )
    if budget.elsewhere:
        table.add_row(
            "", Text(", ".join(budget.shared_with)), str(budget.elsewhere), "other budgets of the same server"
        )
    table.add_row("", Text("free", style="bold"), Text(str(budget.free), style="bold"), words.balance(budget))
    return table


def _bar(budget: BudgetPlan) -> Text:
    """Claimed, free, the line, and what is held back, to scale; what is over the line is not drawn, but said."""
    most = max(1, budget.facts.max_connections if budget.facts else budget.usable)
    line = min(_BAR, round(budget.usable * _BAR / most))
    taken = min(line, -(-(budget.claimed + budget.elsewhere) * _BAR // most))
    style = "red" if budget.is_overcommitted else "cyan"
    return Text.assemble(
        ("█" * taken, style), ("░" * (line - taken), "dim"), ("┃", "bold red"), ("▒" * (_BAR - line), "dim")
    )
