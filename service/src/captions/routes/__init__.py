"""The handlers, one module per resource."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from plimsoll_runtime.errors import TooManyRequestsError
from plimsoll_runtime.idempotency import BadKeyError, IdempotentRoute, ReusedKeyError, RunningError
from plimsoll_runtime.json_route import JsonRoute
from plimsoll_runtime.openapi import documented
from typing_extensions import override

from captions.deps import BEARER, current_user

ONCE: Final = (BadKeyError, RunningError, ReusedKeyError)
"""What an Idempotency-Key may lead to."""


class Route(IdempotentRoute, JsonRoute):
    """JSON is read by its model, an answer under an Idempotency-Key is kept, and nobody's body is read for nothing."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def known_first(request: Request) -> Response:
            """FastAPI asks for the body before any dependency. So the token is looked at twice, which costs less."""
            if current_user not in request.app.dependency_overrides:
                await current_user(request, await BEARER(request))
            return await handle(request)

        return known_first


def resource(name: str) -> APIRouter:
    """A router for ``/name``: each of its operations needs a token, JSON goes through the gate."""
    return APIRouter(
        prefix=f"/{name}",
        tags=[name],
        dependencies=[Depends(current_user)],
        responses=documented(TooManyRequestsError),
        route_class=Route,
    )
