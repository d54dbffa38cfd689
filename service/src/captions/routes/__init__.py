"""The handlers, one module per resource."""

from typing import Final

from fastapi import APIRouter, Depends
from plimsoll_runtime.errors import TooManyRequestsError
from plimsoll_runtime.idempotency import BadKeyError, IdempotentRoute, ReusedKeyError, RunningError
from plimsoll_runtime.json_route import JsonRoute
from plimsoll_runtime.openapi import documented

from captions.deps import current_user

ONCE: Final = (BadKeyError, RunningError, ReusedKeyError)
"""What an Idempotency-Key may lead to."""


class Route(IdempotentRoute, JsonRoute):
    """JSON is read by its model; an answer under an Idempotency-Key is kept."""


def resource(name: str) -> APIRouter:
    """A router for ``/name``: each of its operations needs a token, JSON goes through the gate."""
    return APIRouter(
        prefix=f"/{name}",
        tags=[name],
        dependencies=[Depends(current_user)],
        responses=documented(TooManyRequestsError),
        route_class=Route,
    )
