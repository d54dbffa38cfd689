"""What a platform asks of every pod of a service, whatever it does: where it may run, as whom, from which registry.

Part of ``fastapiservice``; it goes into the pod template as it is. Nothing in it changes what the pods can open.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from plimsoll.api.meta import ObjectName, Wire


class Named(Wire):
    """Another object in the same namespace."""

    name: ObjectName
    """Its name."""


class Operator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class Effect(StrEnum):
    """What a taint does."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Wire):
    """A taint of nodes that the pods put up with; the fields mean what they mean in a pod."""

    key: Annotated[str, Field(max_length=317)] | None = None
    """Key of the taint; left out, with operator Exists, it is every one."""

    operator: Operator = Operator.EQUAL
    """Equal compares the value, Exists asks for none."""

    value: Annotated[str, Field(max_length=63)] | None = None
    """Value of the taint, with operator Equal."""

    effect: Effect | None = None
    """Effect of the taint; left out, it is every one."""

    toleration_seconds: Annotated[int, Field(ge=0, le=86400)] | None = None
    """With effect NoExecute: how long the pod stays once the node has the taint."""


class PodSettings(Wire):
    """What all pods of the service have in common: web, job workers and migrations."""

    service_account_name: ObjectName = "default"
    """Service account of the pods; its token is not mounted."""

    image_pull_secrets: Annotated[tuple[Named, ...], Field(max_length=16)] = ()
    """Secrets for the registry of the image."""

    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """Labels that a node must have."""

    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints of nodes that the pods put up with."""
