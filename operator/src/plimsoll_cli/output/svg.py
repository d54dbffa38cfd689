"""The load line as a picture: per budget a bar to scale, the Plimsoll line at what is usable, red what is over it."""

from __future__ import annotations

from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from plimsoll_cli.model import State
from plimsoll_cli.output import words
from plimsoll_cli.output.canvas import LETTER, STYLE, Canvas, wide
from plimsoll_cli.output.drawing import Part, bar, colours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll_cli.model import BudgetPlan, Plan
    from plimsoll_cli.output.drawing import Bar, Excess, Stretch

_WIDTH: Final = 1000
_LEFT: Final = 32
_BAR: Final = 860
"""Width of the server's max_connections; right of it there is room for what goes over."""

_RIGHT: Final = _WIDTH - 24
_BAR_HEIGHT: Final = 46
_TERMS: Final = 400
_DARK: Final = frozenset({Part.CLAIM, Part.ELSEWHERE, Part.SERVER})


def text(plan: Plan) -> str:
    """The picture as a file of its own."""
    canvas = Canvas(marks=[], y=38)
    for said in wrap(words.verdict(plan), int((_RIGHT - _LEFT) / (18 * LETTER))):
        canvas.text(_LEFT, said, kind="bad" if plan.is_over else "good", size=18, bold=True)
        canvas.y += 24
    canvas.y += 18
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_drawn(plan, canvas)}'


def figure(plan: Plan) -> str:
    """The picture as an element, for a page that says the verdict itself."""
    return _drawn(plan, Canvas(marks=[], y=30))


def _drawn(plan: Plan, canvas: Canvas) -> str:
    for budget in plan.budgets:
        _budget(canvas, budget)
        canvas.y += 42
    height = canvas.y - 18 if plan.budgets else canvas.y
    told = " ".join([words.verdict(plan), *(f"Budget {each.key}: {words.balance(each)}." for each in plan.budgets)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img"'
        ' aria-labelledby="plimsoll-title plimsoll-desc"'
        ' font-family="system-ui, Helvetica, Arial, sans-serif">\n'
        '<title id="plimsoll-title">How the connections of each PostgreSQL server would be divided</title>\n'
        f'<desc id="plimsoll-desc">{escape(told)}</desc>\n'
        f"<style>{STYLE}</style>\n"
        '<defs><pattern id="plimsoll-beyond" width="6" height="6" patternUnits="userSpaceOnUse"'
        ' patternTransform="rotate(45)"><path class="hatch" d="M0 0V6" stroke-width="2"/></pattern></defs>\n'
        f'<rect class="page" width="{_WIDTH}" height="{height:.0f}"/>\n' + "\n".join(canvas.marks) + "\n</svg>\n"
    )


def _budget(canvas: Canvas, budget: BudgetPlan) -> None:
    drawn = bar(budget)
    canvas.text(_LEFT, f"Budget {budget.key}", size=16, bold=True)
    if budget.facts is not None:
        gives = f"one PostgreSQL server, max_connections {budget.facts.max_connections}"
        canvas.text(_LEFT + _BAR, gives, kind="soft", anchor="end")
    canvas.y += 20
    said = words.arithmetic(budget) if budget.capacity is None else words.balance(budget)
    canvas.text(_LEFT, said, kind="soft")
    canvas.y += 42
    if budget.capacity is not None:
        _bar(canvas, drawn)
    _legend(canvas, budget)
    if budget.capacity is not None:
        _held_back(canvas, drawn)


def _bar(canvas: Canvas, drawn: Bar) -> None:
    scale = _BAR / drawn.most
    top = canvas.y
    for each in drawn.stretches:
        canvas.box(_LEFT + each.start * scale, each.count * scale, _BAR_HEIGHT, **_filled(each))
        canvas.y += _BAR_HEIGHT / 2 + 5
        if name := _inside(each, each.count * scale):
            kind = "on" if each.part in _DARK else "ink"
            canvas.text(
                _LEFT + (each.start + each.count / 2) * scale, name, kind=kind, size=12, anchor="middle", bold=True
            )
        canvas.y = top
    canvas.marks += [
        f'<line class="gap" x1="{_LEFT + each.start * scale:.1f}" x2="{_LEFT + each.start * scale:.1f}" y1="{top:.1f}"'
        f' y2="{top + _BAR_HEIGHT:.1f}" stroke-width="1"/>'
        for each in drawn.stretches[1:]
    ]
    canvas.y = top + _BAR_HEIGHT
    _ticks(canvas, drawn, scale)
    before = len(canvas.marks)
    for excess in drawn.excess:
        _excess(canvas, excess, line=drawn.line, scale=scale)
    over = canvas.marks[before:]
    del canvas.marks[before:]
    _line(canvas, drawn.line, x=_LEFT + drawn.line * scale, top=top)
    canvas.marks += over  # words stand before the line


def _filled(each: Stretch) -> dict[str, str]:
    title = f"{each.label}: {each.count}"
    return {"fill": each.colour, "title": title} if each.colour else {"kind": each.part.value, "title": title}


def _inside(each: Stretch, width: float) -> str:
    """As much of a stretch's label as it has room for."""
    if each.part is Part.BEYOND:
        return ""
    name = each.label.rpartition("/")[2]
    said = [f"{name} {each.count}"] if each.part in {Part.CLAIM, Part.FREE, Part.ELSEWHERE} else []
    return next((each for each in (*said, str(each.count)) if wide(each, 12) < width - 6), "")


def _ticks(canvas: Canvas, drawn: Bar, scale: float) -> None:
    step = next(each * 10**power for power in range(7) for each in (1, 2, 5) if each * 10**power * scale >= 64)
    top = canvas.y
    for count in range(0, drawn.most + 1, step):
        x = _LEFT + count * scale
        canvas.marks.append(f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{top + 2:.1f}" y2="{top + 6:.1f}"/>')
        canvas.y = top + 19
        canvas.text(x, str(count), kind="soft", size=11, anchor="middle")
    canvas.y = top + 22


def _excess(canvas: Canvas, excess: Excess, *, line: int, scale: float) -> None:
    """Pale up to the line, red beyond it; torn off where the page ends. Its label is left of it, or else above."""
    start, stop, at = (_LEFT + count * scale for count in (excess.start, excess.end, line))
    width = wide(excess.label, 13)
    beside = start - _LEFT > width + 10
    canvas.y += 22
    x = start - 10 if beside else min(start, _RIGHT - width)
    canvas.text_before_the_line(x, excess.label, anchor="end" if beside else "start")
    canvas.y += -11 if beside else 7
    end = min(stop, _RIGHT)
    if start < at:
        canvas.box(start, min(end, at) - start, 14, kind="within", title=excess.label)
    if end > at:
        canvas.box(max(start, at), end - max(start, at), 14, kind="over", title=excess.label)
    if stop > _RIGHT:
        y = canvas.y
        canvas.marks.append(
            f'<path class="page" d="M{end + 1:.1f} {y:.1f} l-7 3.5 l7 3.5 l-7 3.5 l7 3.5 z" stroke="none"/>'
        )
    canvas.y += 14


def _line(canvas: Canvas, usable: int, *, x: float, top: float) -> None:
    """The mark as it is on a hull: a circle with a line through it, and below it the line itself."""
    canvas.marks.append(
        f'<g class="line" stroke-width="2.5">'
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 8:.1f}" y2="{canvas.y + 4:.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{top - 15:.1f}" r="7"/>'
        f'<line x1="{x - 13:.1f}" x2="{x + 13:.1f}" y1="{top - 15:.1f}" y2="{top - 15:.1f}"/></g>'
    )
    foot, canvas.y = canvas.y, top - 10
    said = f"the line: {usable} usable"
    left = x - 20 - wide(said, 13) > _LEFT
    canvas.text(x - 20 if left else x + 20, said, kind="bad", anchor="end" if left else "start", bold=True)
    canvas.y = foot


def _legend(canvas: Canvas, budget: BudgetPlan) -> None:
    canvas.y += 8
    for row, colour in zip(budget.rows, colours(budget), strict=True):
        canvas.y += 24
        canvas.y -= 11
        over = row.state is State.OVER
        canvas.box(_LEFT, 12, 12, kind="over" if over else "within", fill="" if row.is_refused else colour)
        canvas.y += 11
        name = str(row.service)
        canvas.text(_LEFT + 22, name if len(name) <= 36 else f"{name[:35]}…", bold=True)
        canvas.text(_TERMS - 22, words.count(row), kind="bad" if over else "ink", anchor="end", bold=True)
        lines = [line for term in row.terms for line in wrap(term, int((_RIGHT - _TERMS) / (12 * LETTER)))]
        if row.state in {State.SHRUNK, State.WAITS}:
            lines.append(f"it {row.state.value}")
        for index, said in enumerate(lines):
            canvas.y += 17 if index else 0
            canvas.text(_TERMS, said, kind="soft", size=12)


def _held_back(canvas: Canvas, drawn: Bar) -> None:
    """What is right of the line, in its order, as running text with the fill of each part before it."""
    canvas.y += 30
    x = float(_LEFT)
    for part, said in _captions(drawn):
        if x + 18 + wide(said, 12) > _RIGHT and x > _LEFT:
            canvas.y, x = canvas.y + 20, float(_LEFT)
        canvas.y -= 10
        canvas.box(x, 11, 11, kind=part.value)
        canvas.y += 10
        canvas.text(x + 17, said, kind="soft", size=12)
        x += 17 + wide(said, 12) + 18


def _captions(drawn: Bar) -> Iterator[tuple[Part, str]]:
    for each in drawn.stretches:
        if each.part is not Part.CLAIM:
            yield each.part, f"{each.count} {each.label}"
