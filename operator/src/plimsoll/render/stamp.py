"""Whether a child is already what it should be, so that an undisturbed object is never written.

Two tests, since each alone is blind to something: the digest of the manifest that was applied last shows that *our*
wish has not changed (a field that we dropped included), and the comparison with the live object shows that nobody else
has changed it.
"""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from plimsoll.render.names import RENDERED

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

_FACTORS: Final = {
    "": Decimal(1),
    **{suffix: Decimal(10) ** (3 * power) for suffix, power in zip("num", (-3, -2, -1), strict=True)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
_AMOUNTS: Final = frozenset({"limits", "requests"})
_QUANTITY: Final = re.compile(r"([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)([numkMGTPE]|[KMGTPE]i|)")


def stamped(manifest: Manifest) -> Manifest:
    """The manifest with the digest of its own content as an annotation."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    meta = manifest["metadata"]
    return {**manifest, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), RENDERED: digest}}}


def is_current(*, live: Manifest | None, wanted: Manifest) -> bool:
    """Whether ``live`` was applied from ``wanted`` (stamped) and still says all that it says."""
    return live is not None and _contains(live, wanted)


def _contains(live: Any, wanted: Any, *, amounts: bool = False) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            _contains(live.get(key), value, amounts=amounts or key in _AMOUNTS) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(_contains(one, other) for one, other in zip(live, wanted, strict=True))
        )
    # The API server leaves out what is empty, and writes amounts in its own way.
    return bool(
        live == wanted or (live is None and wanted in ("", 0, False)) or (amounts and _is_same_amount(live, wanted))
    )


def _is_same_amount(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - likewise
    """Whether both say the same amount: ``500m`` is what the API server makes of ``0.5``."""
    one, other = _quantity(live), _quantity(wanted)
    return one is not None and one == other


def _quantity(value: Any) -> Decimal | None:  # noqa: ANN401 - likewise
    found = _QUANTITY.fullmatch(str(value))
    if found is None or isinstance(value, bool):
        return None
    number, suffix = found.groups()
    return Decimal(number) * _FACTORS[suffix]
