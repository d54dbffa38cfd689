"""The route that leaves a JSON body's bytes to the model: the other half of ``incoming``.

Apart from it, so that workers need not import FastAPI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from typing_extensions import override

from plimsoll_runtime.incoming import Json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.responses import Response


class _Request(Request):
    @override
    async def json(self) -> Json:
        return Json(await self.body())


class JsonRoute(APIRoute):
    """``APIRouter(route_class=JsonRoute)``."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def with_bytes(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return with_bytes
