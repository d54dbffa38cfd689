"""Whether a child is already what it should be, so that an undisturbed object is never written.

Two tests, since each alone is blind to something: the digest of the manifest that was applied last shows that *our*
wish has not changed (a field that we dropped included), and the comparison with the live object shows that nobody else
has changed it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from plimsoll.render.names import RENDERED

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest


def stamped(manifest: Manifest) -> Manifest:
    """The manifest with the digest of its own content as an annotation."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    meta = manifest["metadata"]
    return {**manifest, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), RENDERED: digest}}}


def is_current(*, live: Manifest | None, wanted: Manifest) -> bool:
    """Whether ``live`` was applied from ``wanted`` (stamped) and still says all that it says."""
    return live is not None and _contains(live, wanted)


def _contains(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(_contains(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(_contains(one, other) for one, other in zip(live, wanted, strict=True))
        )
    # The API server leaves out what is empty.
    return bool(live == wanted or (live is None and wanted in ("", 0, False)))
