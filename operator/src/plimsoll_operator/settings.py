"""The operator's settings, read once from its environment; each field is documented where it is declared."""

from __future__ import annotations

from typing import Annotated

from plimsoll.budget.demand import Overlap
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """Environment variables ``PLIMSOLL_OPERATOR_*``."""

    model_config = SettingsConfigDict(env_prefix="PLIMSOLL_OPERATOR_", frozen=True, use_attribute_docstrings=True)

    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    """How many objects are reconciled at a time."""

    resync_seconds: Annotated[float, Field(ge=10)] = 300.0
    """How often every object is looked at though nothing woke the operator."""

    health_port: Annotated[int, Field(ge=1, le=65535)] = 8081
    """Port of /healthz."""

    metrics_port: Annotated[int, Field(ge=1, le=65535)] = 9090
    """Port of /metrics."""

    drain_seconds: Annotated[float, Field(ge=0)] = 20.0
    """How long reconciles under way may still take when the operator is told to stop."""

    connect_timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 5
    """How long a database server may take to answer the probe."""

    overlap: Overlap = Overlap.GUARDED
    """Guarded: ResourceQuotas keep every workload within its claim, which takes cluster-scoped rights. Counted: without
    these, the operator's own order of steps does, at the price of more connections held per service.
    """

    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """The namespaces that are looked after, separated by commas; empty means all."""

    admission: bool = False
    """Whether the chart has installed the admission policy, which takes a binding for every namespace with budgets."""

    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """Least level of what is logged."""

    service_account: str = "system:serviceaccount:plimsoll-system:plimsoll-operator"
    """The operator's own identity, for the command that grants it a right it lacks."""

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(each.strip() for each in value.split(",") if each.strip()) if isinstance(value, str) else value
