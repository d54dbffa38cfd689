"""Pages of a long list, by where the last one ended: however deep, a page costs one look into an index.

    async def read_all(page: Page, session: Session) -> Some:
        rows = await session.scalars(page.of(select(Thing), Thing.created_at, Thing.id))
        things, next = page.cut(rows.all(), lambda thing: Position(at=thing.created_at, id=thing.id))

Rows that are there when the listing begins are seen once each; offsets would repeat and skip them as others come and
go. The cursor is opaque to clients, and no secret: it names a place in an order, and opens nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence  # noqa: TC003 - FastAPI reads this module's annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID  # noqa: TC003 - pydantic reads them

from fastapi import Depends, Query
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime  # noqa: TC002 - likewise
from sqlalchemy import tuple_

from plimsoll_runtime.incoming import Incoming

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.orm import InstrumentedAttribute

T = TypeVar("T")


class Position(Incoming):
    """A place in the order of creation."""

    at: AwareDatetime
    id: UUID

    def cursor(self) -> str:
        """For a URL."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode().rstrip("=")

    @classmethod
    def of(cls, cursor: str) -> Position:
        """What ``cursor`` made.

        Raises:
            ValueError: it is nothing of ours.
        """
        return cls.model_validate_json(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How many rows to give, and after which."""

    limit: int
    after: Position | None

    def of(
        self,
        query: Select[T],
        at: InstrumentedAttribute[Any],
        id: InstrumentedAttribute[UUID],  # noqa: A002 - the column's name
    ) -> Select[T]:
        """The query's rows from here on, and one more, which tells whether there is a next page."""
        if self.after is not None:
            query = query.where(tuple_(at, id) > (self.after.at, self.after.id))
        return query.order_by(at, id).limit(self.limit + 1)

    def cut(self, rows: Sequence[T], position: Callable[[T], Position]) -> tuple[Sequence[T], str | None]:
        """The page, and the cursor of the next one."""
        page = rows[: self.limit]
        return page, position(page[-1]).cursor() if len(rows) > self.limit else None


def _cut(
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 20,
    cursor: Annotated[str | None, Query(max_length=200, description="``next`` of the page before.")] = None,
) -> Cut:
    try:
        return Cut(limit=limit, after=None if cursor is None else Position.of(cursor))
    except ValueError:
        mistake = {"loc": ("query", "cursor"), "type": "cursor", "msg": "Must be what a page before gave as its next"}
        raise RequestValidationError([mistake]) from None


Page = Annotated[Cut, Depends(_cut)]
"""The page that a request asks for, by ``limit`` and ``cursor``."""
