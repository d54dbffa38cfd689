"""Small pieces of CEL, and how they are put together: numbers, texts, the variables of an object.

Used by ``cel_demand`` and ``admission``, which say in CEL what ``budget/`` says in Python. Nothing in here knows
of connections.
"""

from __future__ import annotations

from dataclasses import dataclass

Expression = str
"""An expression in CEL."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two objects of a request, and the variables that are computed from it.

    Attributes:
        root: what CEL calls it: ``object`` as it shall be, ``oldObject`` as it is.
        prefix: begins the names of its variables.

    Every other attribute is the value of one of these.
    """

    root: str
    prefix: str = ""

    def named(self, name: str) -> str:
        """Name of this side's variable: ``demand``, ``oldDemand``."""
        return f"{self.prefix}{name[0].upper()}{name[1:]}" if self.prefix else name

    def __getattr__(self, name: str) -> Expression:
        """The value of this side's variable: ``variables.demand``, ``variables.oldDemand``."""
        if name.startswith("_"):  # what Python itself looks for
            raise AttributeError(name)
        return f"variables.{self.named(name)}"


def number(path: Expression) -> Expression:
    """A number of an object: JSON knows ``2.0`` too, which an integer field accepts and CEL does not add to ``2``."""
    return f"int({path})"


def total(items: Expression, name: str, each: Expression) -> Expression:
    """The sum of ``each`` over a list whose items are called ``name``.

    ``each`` has to be an ``int()`` or made of these: only by its static type does CEL know the zero of an empty list.
    """
    return f"{items}.map({name}, {each}).sum()"


def largest(*values: Expression) -> Expression:
    """The largest of some numbers."""
    return f"[{', '.join(values)}].max()"


def text(template: str, *values: Expression) -> Expression:
    """A text with ``values``, texts themselves, in the places of ``{}``."""
    parts = template.split("{}")
    pieces = [
        piece for part, value in zip(parts, (*values, ""), strict=True) for piece in (part and f"'{part}'", value)
    ]
    return " + ".join(piece for piece in pieces if piece)


def when(condition: Expression, then: Expression, otherwise: Expression) -> Expression:
    """One of two values."""
    return f"({condition} ? {then} : {otherwise})"


def bracketed(joined: Expression) -> Expression:
    """A text of terms joined by `` + ``, in brackets where there are several. The list of one binds it to a name."""
    return f"[{joined}].map(t, t.contains(' + ') ? '(' + t + ')' : t)[0]"
