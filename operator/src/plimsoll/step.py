"""What one step does with the children of a service: which are written and deleted, and what is said of it.

Made by ``steps`` and ``migrating``, carried out by the shell in the order of its fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest
    from plimsoll.conditions import Finding

SOON_SECONDS = 1.0
"""How soon to look again at what the API server does by itself, such as a quota coming into force."""

Ref = tuple[str, str]
"""Kind and name of a child."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What to do with the children, in this order.

    Attributes:
        apply: children to apply, in order.
        overwrite: children to write as a whole, since somebody has added what an apply cannot take away.
        delete: children to delete, in order.
        findings: what is to be said of it; empty where the workloads speak for themselves.
        again_after: seconds after which to look again, where it waits for something.
        leftovers: children that the spec no longer names, those that still have to wait included.
    """

    apply: tuple[Manifest, ...] = ()
    overwrite: tuple[Manifest, ...] = ()
    delete: tuple[Ref, ...] = ()
    findings: tuple[Finding, ...] = ()
    again_after: float | None = None
    leftovers: tuple[Ref, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do, now or later."""
        return not (self.apply or self.overwrite or self.leftovers)
