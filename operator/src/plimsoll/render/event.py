"""The Event that tells of a condition: what ``kubectl describe`` shows at the end."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from plimsoll.api.meta import API_VERSION
from plimsoll.conditions import Reason
from plimsoll.render.names import FIELD_MANAGER

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Condition, Manifest

_LONGEST = 1024  # what the API allows for a message
_PROGRESS = frozenset({Reason.PROGRESSING, Reason.MIGRATING, Reason.WAITING_FOR_GUARD, Reason.WAITING_FOR_QUIET})


def event(service: FastAPIService, condition: Condition, *, now: str) -> Manifest:
    """An Event about ``service``; a warning where the condition is False."""
    meta = service.metadata
    digest = hashlib.sha256(f"{meta.uid} {condition.type} {condition.reason} {now}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta.name}.{digest}"[-253:], "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": "FastAPIService",
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
        },
        "type": "Warning" if condition.status == "False" and not _is_progress(condition) else "Normal",
        "reason": condition.reason,
        "message": condition.message[:_LONGEST],
        "source": {"component": FIELD_MANAGER},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _is_progress(condition: Condition) -> bool:
    return condition.reason in _PROGRESS
