"""The route that leaves a JSON body's bytes to the model: the other half of ``incoming``.

JSON has a bound of its own, far below that of uploads (``limits``): a model looks at each unknown field, on the event
loop, and has a mistake to tell for each.

Apart from ``incoming``, so that workers need not import FastAPI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastapi.routing import APIRoute
from starlette.requests import Request
from typing_extensions import override

from plimsoll_runtime.errors import TooLargeError
from plimsoll_runtime.incoming import Json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.responses import Response


class JsonRoute(APIRoute):
    """``APIRouter(route_class=JsonRoute)``."""

    max_bytes: ClassVar[int] = 64 * 1024
    """The longest JSON body; a subclass may set another."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        max_bytes = self.max_bytes

        class Unparsed(Request):
            @override
            async def json(self) -> Json:
                body = await self.body()
                if len(body) > max_bytes:
                    raise TooLargeError(f"JSON may have at most {max_bytes} bytes here.")
                return Json(body)

        async def with_bytes(request: Request) -> Response:
            return await handle(Unparsed(request.scope, request.receive))

        return with_bytes
