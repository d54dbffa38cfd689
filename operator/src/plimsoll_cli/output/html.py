"""For people: one page that needs nothing else, with picture and numbers, light or dark as they like."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from plimsoll_cli.output import svg, words

if TYPE_CHECKING:
    from plimsoll_cli.model import BudgetPlan, Plan, Row

_STYLE: Final = """
:root{color-scheme:light dark;--page:#fff;--ink:#1f2937;--soft:#4b5563;--rule:#e5e7eb;--good:#15803d;--bad:#b91c1c}
@media (prefers-color-scheme:dark){
:root{--page:#0f172a;--ink:#f1f5f9;--soft:#b6c2d2;--rule:#334155;--good:#4ade80;--bad:#fca5a5}}
body{margin:0 auto;max-width:64rem;padding:2rem 1rem;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,"Helvetica Neue",Arial,sans-serif}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}.soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}
figure{margin:1.5rem 0}svg{width:100%;height:auto;display:block}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}caption{text-align:left;color:var(--soft);padding-bottom:.5rem}
th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;border-bottom:1px solid var(--rule)}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
""".strip()
_HEAD: Final = (
    '<thead><tr><th scope="col">Service</th><th scope="col">Result</th>'
    '<th scope="col" class="number">Connections</th><th scope="col">How</th></tr></thead>'
)


def text(plan: Plan) -> str:
    """The page."""
    kind = "bad" if plan.is_over else "good"
    said = [
        f"<li><strong>{escape(str(each.service))}</strong> {escape(what)}</li>"
        for each in plan.services
        if (what := words.becomes(each))
    ]
    said += [f"<li>Warning: {escape(each)}</li>" for each in plan.warnings]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>Plimsoll: what fits</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            "<h1>What fits</h1>",
            f'<p class="{kind}"><strong>{escape(words.verdict(plan))}</strong></p>',
            f"<figure>\n{svg.figure(plan)}</figure>",
            *(["<ul>", *said, "</ul>"] if said else []),
            *(line for budget in plan.budgets for line in _budget(budget)),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _budget(budget: BudgetPlan) -> list[str]:
    return [
        f"<h2>Budget {escape(str(budget.key))}</h2>",
        f'<p class="soft">{escape(words.arithmetic(budget))}</p>',
        '<div class="wide"><table>',
        f"<caption>{escape(words.balance(budget))}</caption>",
        _HEAD,
        "<tbody>",
        *(_row(row) for row in budget.rows),
        "</tbody>",
        f'<tfoot><tr><th scope="row">free</th><td></td><td class="number">{budget.free}</td><td></td></tr></tfoot>',
        "</table></div>",
    ]


def _row(row: Row) -> str:
    kind = ' class="bad"' if row.is_refused else ""
    terms = "<br>".join(escape(term) for term in row.terms)
    return (
        f'<tr><th scope="row">{escape(str(row.service))}</th><td{kind}>{row.state.value}</td>'
        f'<td class="number">{words.count(row)}</td><td>{terms}</td></tr>'
    )
