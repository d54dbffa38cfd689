"""The environment of a service's processes: single variables, and whole Secrets and ConfigMaps.

Part of ``fastapiservice``. The variables of the contract win over all of it: a pod's ``env`` takes precedence over its
``envFrom``, and the contract's names are refused in the service's own ``env``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from plimsoll.api.meta import Wire
from plimsoll.api.pods import Named


class EnvVar(Wire):
    """One environment variable; ``$(NAME)`` in the value expands to an earlier one, those of the contract included."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the variable."""

    value: Annotated[str, Field(max_length=32768)] = ""
    """Its value."""


class EnvFrom(Wire):
    """All keys of a Secret or of a ConfigMap as environment variables."""

    prefix: Annotated[str, Field(max_length=253)] = ""
    """Put in front of every name."""

    secret_ref: Named | None = None
    """A Secret in the same namespace."""

    config_map_ref: Named | None = None
    """A ConfigMap in the same namespace."""
