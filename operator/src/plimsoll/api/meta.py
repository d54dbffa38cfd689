"""What both custom resources share: names of the API, the models' base, object metadata, conditions.

The models describe the wire: camelCase there, snake_case here. They are frozen, so that the core can pass them around.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "plimsoll.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=f"^{_LABEL}$")]
"""A name that may become part of other objects' names."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
"""The name of another object, as Kubernetes takes it: a URI that is pasted there is refused, and stored nowhere."""


Count = Annotated[int, Field(ge=0, le=262143)]
"""A number of connections; PostgreSQL itself allows at most 262143."""


class BudgetKey(NamedTuple):
    """Which ConnectionBudget: written ``namespace/name``."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> BudgetKey:
        """Reads one that was written."""
        namespace, _, name = text.partition("/")
        return cls(namespace, name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Wire(BaseModel):
    """Base of every model that mirrors a part of a custom resource."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", use_attribute_docstrings=True
    )


class SecretKey(Wire):
    """One key of a Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret, in the same namespace."""

    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        default="DATABASE_URL"
    )
    """Key in it whose value is a PostgreSQL URI: postgresql://user:password@host:5432/database."""


class Metadata(Wire):
    """The part of an object's metadata that decisions need."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


LONGEST_MESSAGE: Final = 32768
"""Characters that the API server takes for the message of a condition."""


class Condition(Wire):
    """One condition, as the Kubernetes API conventions define it."""

    type: str = Field(max_length=316)
    """Type of the condition, in CamelCase."""

    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""

    observed_generation: int | None = Field(default=None, ge=0)
    """The generation that this condition is about."""

    last_transition_time: str = Field(json_schema_extra={"format": "date-time"})
    """When the status last changed."""

    reason: str = Field(min_length=1, max_length=1024)
    """Why, in one CamelCase word."""

    message: str = Field(max_length=LONGEST_MESSAGE)
    """Why, in a sentence with the numbers and the fix."""


Manifest = dict[str, Any]
"""A Kubernetes object, or an apply configuration of one, as it goes over the wire."""
