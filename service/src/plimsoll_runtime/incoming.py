"""The gate for what comes from outside: JSON is read by the model itself, strictly, from the bytes as they came.

    @router.post("")                                        # router = APIRouter(route_class=JsonRoute)
    async def create(new: Received[UserIn]) -> UserOut: ...

FastAPI hands a model what ``json.loads`` made of the body, as Python objects: strict mode would then refuse every UUID
and time of day, and what JSON does not know (NaN, a lone surrogate) gets through. On a ``JsonRoute`` (``json_route``)
the bytes reach pydantic's own parser, after the dependencies have been solved: who may not ask is told so first. On any
other route ``Received`` refuses everything. OpenAPI shows the model as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

T = TypeVar("T")


class Incoming(BaseModel):
    """Base of what comes in: types are exact, unknown fields refused, and no error repeats the input."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class Json(bytes):
    """A body whose content type says that it is JSON."""

    __slots__ = ()


class _FromJson:
    """Parses the bytes straight into the annotated type."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:  # noqa: ANN401 - any type
        model = handler(source)
        return core_schema.no_info_before_validator_function(
            _only_json, core_schema.json_schema(model), json_schema_input_schema=model
        )


def _only_json(value: object) -> Json:
    if not isinstance(value, Json):
        raise PydanticCustomError("json_expected", "Send JSON, with the content type application/json")
    return value


Received = Annotated[T, _FromJson()]
"""A body that is parsed by its model."""
