"""``Idempotency-Key``: a POST that is sent again is answered again, and done once.

After draft-ietf-httpapi-idempotency-key-header. A client that got no answer cannot know whether its POST was done; with
a key of its own making it may send it again until it hears:

    same key, same request      the answer of the first, and ``Idempotency-Replayed: true``
    same key, other request     422
    the first is still running  409, with Retry-After

Three parts, which an app puts together in its dependencies (``captions.deps``): the key's header (``Key``), ``claim``
before the handler, and ``IdempotentRoute``, which keeps the handler's answer. All of it happens in the request's own
transaction, so the answer is stored exactly if the effect is, and both before the client hears. A running request
holds an advisory lock of that transaction: whatever kills its process frees the key, and leaves no row that says
"running" for ever. What raises is rolled back and forgotten, so after an error the same key may be tried again.

Answers are kept per owner for PLIMSOLL_IDEMPOTENCY_SECONDS; each new one takes some that have run out away with it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias

from fastapi import Header
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from psycopg.types.json import Jsonb
from starlette.datastructures import UploadFile
from starlette.responses import Response
from typing_extensions import override

from plimsoll_runtime.errors import BadRequestError, ConflictError, UnprocessableError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from datetime import timedelta
    from hashlib import _Hash
    from typing import BinaryIO, LiteralString

    from psycopg import AsyncConnection
    from starlette.requests import Request

SCHEMA: Final = (files(__package__) / "sql/idempotency.sql").read_text(encoding="utf-8")
"""The table, for the app's migrations."""

REPLAYED: Final = "idempotency-replayed"
KEPT: Final = frozenset({"content-type", "content-language", "etag", "link", "location"})
"""Headers of an answer that are kept; others, such as a cookie, belong to the moment."""

SWEPT: Final = 10
"""How many answers that have run out each new one removes: the table shrinks faster than it grows."""

PIECE: Final = 256 * 1024

_SLOT: Final = "plimsoll.idempotency"
_FORMS: Final = ("multipart/form-data", "application/x-www-form-urlencoded")
_SANE: Final = re.compile(r"[!-~]{1,255}")

_LOCK: Final[LiteralString] = "SELECT pg_try_advisory_xact_lock(%s)"
_FIND: Final[LiteralString] = """
    SELECT fingerprint, status, headers, body FROM plimsoll_http.idempotency_key
    WHERE owner = %s AND key = %s AND expires_at > now()
"""
_STORE: Final[LiteralString] = """
    WITH swept AS (
        DELETE FROM plimsoll_http.idempotency_key
        WHERE (owner, key) IN (
            SELECT owner, key FROM plimsoll_http.idempotency_key
            WHERE expires_at <= now() AND (owner, key) <> (%(owner)s, %(key)s)
            ORDER BY expires_at LIMIT %(swept)s FOR UPDATE SKIP LOCKED
        )
    )
    INSERT INTO plimsoll_http.idempotency_key AS kept (owner, key, fingerprint, status, headers, body, expires_at)
    VALUES (%(owner)s, %(key)s, %(fingerprint)s, %(status)s, %(headers)s, %(body)s, now() + %(lifetime)s)
    ON CONFLICT (owner, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers,
        body = excluded.body, created_at = now(), expires_at = excluded.expires_at
    WHERE kept.expires_at <= now()
    RETURNING true
"""

Key: TypeAlias = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Yours to choose, once for each POST that you mean: sent again with the same key it is done once.",
    ),
]


class RunningError(ConflictError):
    """A request with this Idempotency-Key is still running; ask again shortly for its answer."""

    default_headers: ClassVar[Mapping[str, str]] = {"retry-after": "1"}


class ReusedKeyError(UnprocessableError):
    """This Idempotency-Key was used for another request; take a new one."""


class BadKeyError(BadRequestError):
    """An Idempotency-Key has 1 to 255 visible ASCII characters, such as a UUID."""


class _Replay(Exception):  # noqa: N818 - no error: the shortest way from a dependency to an answer
    def __init__(self, response: Response) -> None:
        self.response = response


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """A key that is ours until the transaction ends."""

    connection: AsyncConnection[Any]
    owner: str
    key: str
    fingerprint: bytes
    lifetime: timedelta

    async def keep(self, response: Response) -> None:
        """Store the answer.

        Raises:
            TypeError: it is a stream, which nobody has in his hands yet.
            RunningError: somebody else has stored one.
        """
        if not hasattr(response, "body"):
            raise TypeError(f"an answer is kept whole under its Idempotency-Key; {type(response).__name__} is a stream")
        parameters = {
            "owner": self.owner,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "status": response.status_code,
            "headers": Jsonb([pair for pair in response.headers.items() if pair[0] in KEPT]),
            "body": bytes(response.body),
            "lifetime": self.lifetime,
            "swept": SWEPT,
        }
        cursor = await self.connection.execute(_STORE, parameters)
        if await cursor.fetchone() is None:  # somebody stored it without the lock: their answer counts, not ours
            raise RunningError


class IdempotentRoute(APIRoute):
    """For a router's ``route_class``: keeps the answers of requests that have claimed a key."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if "POST" not in (self.methods or ()):
            return handle

        async def handle_once(request: Request) -> Response:
            slot: list[_Claim] = []
            request.scope[_SLOT] = slot
            try:
                response = await handle(request)
            except _Replay as replay:
                return replay.response
            for each in slot:
                await each.keep(response)
            return response

        return handle_once


async def claim(
    request: Request, connection: AsyncConnection[Any], *, owner: str, key: str, lifetime: timedelta
) -> None:
    """Make sure that this request is the one that is done under its key.

    Args:
        request: handled by an ``IdempotentRoute``.
        connection: the one whose transaction the handler works in.
        owner: who asks, such as ``Principal.subject``.
        key: as the client sent it; the quotes of a structured header's string are not part of it.
        lifetime: how long the answer is kept.

    Raises:
        BadKeyError: it is no key.
        RunningError: another request holds it.
        ReusedKeyError: it stands for another request.
    """
    slot = request.scope.get(_SLOT)
    if slot is None:
        raise RuntimeError(
            f"{request.url.path} claims an Idempotency-Key, but its router's route_class keeps no answer"
        )
    name = key[1:-1] if len(key) >= 2 and key[0] == key[-1] == '"' else key
    if not _SANE.fullmatch(name):
        raise BadKeyError
    fingerprint = await _fingerprint(request)
    if not (await _row(connection, _LOCK, [_lock_id(owner, name)]))[0]:
        raise RunningError
    # A statement of its own: its snapshot is younger than the lock, so it sees what the last holder has committed.
    stored = await _row(connection, _FIND, [owner, name])
    if not stored:
        slot.append(_Claim(connection=connection, owner=owner, key=name, fingerprint=fingerprint, lifetime=lifetime))
        return
    if stored[0] != fingerprint:
        raise ReusedKeyError
    headers = dict(stored[2]) | {REPLAYED: "true"}
    raise _Replay(Response(stored[3], status_code=stored[1], headers=headers))


async def _row(connection: AsyncConnection[Any], statement: LiteralString, parameters: list[object]) -> tuple[Any, ...]:
    return await (await connection.execute(statement, parameters)).fetchone() or ()


def _lock_id(owner: str, key: str) -> int:
    """Two keys that share one would only wait for each other."""
    digest = hashlib.sha256()
    _add(digest, owner, key)
    return int.from_bytes(digest.digest()[:8], signed=True)


async def _fingerprint(request: Request) -> bytes:
    """Of the method, the target and the body; of a form, of its fields, since its boundary is another each time."""
    digest = hashlib.sha256()
    _add(digest, request.method, request.url.path, request.url.query)
    if not request.headers.get("content-type", "").lower().startswith(_FORMS):
        _add(digest, await request.body())
        return digest.digest()
    for name, value in (await request.form()).multi_items():
        if isinstance(value, UploadFile):
            _add(digest, "file", name, value.filename or "")
            _add(digest, await run_in_threadpool(_digest_of, value.file))
            await value.seek(0)
        else:
            _add(digest, "field", name, value)
    return digest.digest()


def _digest_of(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    return digest.digest()


def _add(digest: _Hash, *parts: bytes | str) -> None:
    """Each with its length before it, so that no two lists look alike. A form's text may be more than UTF-8 can say."""
    for part in parts:
        data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8))
        digest.update(data)
