"""Manifests against the schemas of Kubernetes itself: a field that it does not know is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kubernetes_validate  # type: ignore[import-untyped]  # it has none
from support.helm import KUBERNETES

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

_VERSION = ".".join(KUBERNETES.split(".")[:2])


def validate(manifest: Manifest) -> None:
    """Raises an error that names the first field that is wrong, missing or unknown."""
    kubernetes_validate.validate(manifest, _VERSION, strict=True)
