"""The handlers, one module per resource."""

from http import HTTPStatus

from fastapi import APIRouter, Depends
from plimsoll_runtime.json_route import JsonRoute
from plimsoll_runtime.problems import documented

from captions.deps import current_user

ANYWHERE = documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE)


def resource(name: str) -> APIRouter:
    """A router for ``/name``: each of its operations needs a token, JSON goes through the gate."""
    return APIRouter(
        prefix=f"/{name}",
        tags=[name],
        dependencies=[Depends(current_user)],
        responses=ANYWHERE,
        route_class=JsonRoute,
    )
