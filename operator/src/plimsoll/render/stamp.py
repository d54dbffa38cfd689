"""Whether a child is already what it should be, so that an undisturbed object is never written.

Two tests, since each alone is blind to something: the digest of the manifest that was applied last shows that *our*
wish has not changed (a field that we dropped included), and the comparison with the live object shows that nobody else
has changed it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from plimsoll.quantity import quantity
from plimsoll.render.names import RENDERED

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

_AMOUNTS: Final = frozenset({"limits", "requests"})


def stamped(manifest: Manifest) -> Manifest:
    """The manifest with the digest of its own content as an annotation."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    meta = manifest["metadata"]
    return {**manifest, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), RENDERED: digest}}}


def is_current(*, live: Manifest | None, wanted: Manifest) -> bool:
    """Whether ``live`` was applied from ``wanted`` (stamped) and still says all that it says."""
    return live is not None and _contains(live, wanted)


def has_foreign_items(*, live: Manifest, wanted: Manifest) -> bool:
    """Whether ``wanted`` was applied already, and somebody has added an item to one of its lists since.

    An apply takes back the fields that it names, but not an item that another manager has added.
    """
    stamp = live["metadata"].get("annotations", {}).get(RENDERED)
    return stamp == wanted["metadata"]["annotations"][RENDERED] and _has_more(live.get("spec"), wanted.get("spec"))


def _has_more(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(live, dict) and isinstance(wanted, dict):
        return any(_has_more(live.get(key), value) for key, value in wanted.items())
    if isinstance(live, list) and isinstance(wanted, list):
        return len(live) > len(wanted) or any(_has_more(*pair) for pair in zip(live, wanted, strict=False))
    return False


def overwriting(*, live: Manifest, wanted: Manifest) -> Manifest:
    """The whole object to write in the place of ``live``: what ``wanted`` names as it says, lists included.

    It carries the resourceVersion of ``live``: what has changed again since is not overwritten unseen.
    """
    merged: Manifest = _merged({key: value for key, value in live.items() if key != "status"}, wanted)
    return merged


def _merged(live: Any, wanted: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(live, dict) and isinstance(wanted, dict):
        return {**live, **{key: _merged(live.get(key), value) for key, value in wanted.items()}}
    return wanted


def _contains(live: Any, wanted: Any, *, amounts: bool = False) -> bool:  # noqa: ANN401 - any JSON value
    if live is None:  # the API server leaves out what is empty
        return _is_empty(wanted)
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
    return bool(live == wanted or (amounts and _is_same_amount(live, wanted)))  # it writes amounts in its own way


def _is_empty(wanted: Any) -> bool:  # noqa: ANN401 - any JSON value
    return all(map(_is_empty, wanted.values())) if isinstance(wanted, dict) else not wanted


def _is_same_amount(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - likewise
    """Whether both say the same amount: ``500m`` is what the API server makes of ``0.5``."""
    one, other = quantity(live), quantity(wanted)
    return one is not None and one == other
