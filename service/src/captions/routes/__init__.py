"""The handlers, one module per resource."""

from http import HTTPStatus

from fastapi import APIRouter, Depends
from plimsoll_runtime.idempotency import IdempotentRoute
from plimsoll_runtime.json_route import JsonRoute
from plimsoll_runtime.problems import documented

from captions.deps import current_user

ANYWHERE = documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
ONCE = documented(HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
"""What an Idempotency-Key may lead to."""


class Route(IdempotentRoute, JsonRoute):
    """JSON is read by its model; an answer under an Idempotency-Key is kept."""


def resource(name: str) -> APIRouter:
    """A router for ``/name``: each of its operations needs a token, JSON goes through the gate."""
    return APIRouter(
        prefix=f"/{name}",
        tags=[name],
        dependencies=[Depends(current_user)],
        responses=ANYWHERE,
        route_class=Route,
    )
