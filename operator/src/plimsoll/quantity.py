"""Kubernetes quantities, as far as they are compared and added: ``500m`` CPUs, ``512Mi`` of memory.

Used where the operator reads an amount that a person wrote: the CPU limit that the number of workers follows from, the
memory that is shown beside it, and a live object that says the same amount in another way.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

_FACTORS: Final = {
    "": Decimal(1),
    **{suffix: Decimal(10) ** (3 * power) for suffix, power in zip("num", (-3, -2, -1), strict=True)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
_QUANTITY: Final = re.compile(r"([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)([numkMGTPE]|[KMGTPE]i|)")


def quantity(value: Any) -> Decimal | None:  # noqa: ANN401 - any JSON value
    """The number that ``value`` stands for, in CPUs or bytes; ``None`` where it is no quantity."""
    found = _QUANTITY.fullmatch(str(value))
    if found is None or isinstance(value, bool):
        return None
    number, suffix = found.groups()
    return Decimal(number) * _FACTORS[suffix]


def amount(resources: Any, kind: str, name: str) -> Decimal | None:  # noqa: ANN401 - an open object holds anything
    """An amount of a container's ``resources``: kind ``limits`` or ``requests``, name ``cpu`` or ``memory``."""
    amounts = resources.get(kind) if isinstance(resources, dict) else None
    return quantity(amounts.get(name)) if isinstance(amounts, dict) else None


def in_mebibytes(amount: Decimal) -> str:
    """An amount of bytes as a person reads it, rounded up."""
    mebi = -(-amount // 1024**2)
    return f"{mebi / 1024:.1f}Gi" if mebi >= 10 * 1024 else f"{mebi}Mi"
