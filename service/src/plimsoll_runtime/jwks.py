"""The keys that an issuer publishes (RFC 7517), for ``tokens``: fetched when needed, kept, and fetched again in time.

A request waits for the issuer only when its key is not known yet. What is known and no longer fresh is used while it
is fetched anew behind the requests, so an issuer that is slow or away for a while costs nobody anything. A token may
name any key it likes, so unknown names ask the issuer at most once in ``COOLDOWN_SECONDS``, however many they are.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx2
import structlog
from jwt import PyJWK, PyJWTError
from pydantic import BaseModel, ConfigDict, ValidationError

from plimsoll_runtime.errors import BadTokenError, BusyError

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH_SECONDS: Final = 300
"""How long keys are used without asking again."""

STALE_SECONDS: Final = 3600
"""How long they are used while the issuer cannot be asked: a key that it has withdrawn lives no longer than this."""

COOLDOWN_SECONDS: Final = 10
"""The least time between two requests to the issuer; so long may a new key go unknown."""

ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}
"""What a published key may be used for, by its type and curve. No symmetric one: whoever can read it could sign."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Key:
    """Something to verify with, and the one algorithm that it is for."""

    value: Any
    algorithm: str


class PublishedKey(BaseModel):
    """An entry of a key set; its numbers are read by PyJWT."""

    model_config = ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)

    kty: str
    kid: str | None = None
    use: str | None = None
    alg: str | None = None
    crv: str | None = None
    d: str | None = None
    """There only in a private key, which has no place in a published set."""


class KeySet(BaseModel):
    """What an issuer's URL answers. Members that RFC 7517 does not know are to be ignored."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    keys: list[PublishedKey]


class Jwks:
    """The issuer's keys by name.

    Args:
        url: where they are published.
        client: asks for them, within its own timeouts.
        clock: monotonic seconds.
    """

    def __init__(self, url: str, *, client: httpx2.AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._client = client
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, name: str) -> Key:
        """The key of that name.

        Raises:
            BadTokenError: the issuer has no such key.
            BusyError: the issuer cannot be asked.
        """
        age = self._clock() - self._fetched_at
        if age > FRESH_SECONDS:
            self.refresh()
        known = self._keys.get(name) if age <= STALE_SECONDS else None
        if known is None:
            self.refresh()
            if self._fetching is not None:
                await asyncio.shield(self._fetching)  # others wait for it too
            known = self._keys.get(name)
        if self._clock() - self._fetched_at > STALE_SECONDS or (known is None and self._failed):
            raise BusyError("The token's issuer cannot be asked for its keys now; try again shortly.")
        if known is None:
            raise BadTokenError
        return known

    def refresh(self) -> None:
        """Begin to fetch the keys, unless that is under way or was just done."""
        if self._fetching is None and self._clock() - self._asked_at >= COOLDOWN_SECONDS:
            self._asked_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())

    async def close(self) -> None:
        """Give up what is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _fetch(self) -> None:
        self._failed = True
        try:
            answer = await self._client.get(self._url)
            answer.raise_for_status()
            self._keys = _usable(KeySet.model_validate_json(answer.content))
            self._fetched_at, self._failed = self._clock(), False
        except httpx2.HTTPError as error:
            await log.awarning("the token issuer's keys cannot be fetched", error=type(error).__name__)
        except ValidationError as error:
            kinds = sorted({one["type"] for one in error.errors(include_input=False)})
            await log.awarning("the token issuer's answer is no key set", kinds=kinds)
        finally:
            self._fetching = None


def _usable(found: KeySet) -> dict[str, Key]:
    keys = {}
    for each in found.keys:
        algorithm = ALGORITHMS.get((each.kty, each.crv))
        if algorithm is None or each.kid is None or each.d is not None:
            continue
        if each.use not in {None, "sig"} or each.alg not in {None, algorithm}:
            continue
        try:
            keys[each.kid] = Key(value=PyJWK(each.model_dump(exclude_none=True), algorithm), algorithm=algorithm)
        except PyJWTError as error:
            log.warning("a key of the token issuer cannot be read", error=type(error).__name__)
    return keys
