"""Who asks: bearer tokens, verified. A service's ``deps`` calls ``Verifier.verify`` for each request.

A token is a JWT. The algorithm is fixed by the kind of key that is configured, never taken from the token: HS256 for a
secret, RS256 or ES256 for the keys that an issuer publishes (``jwks``). ``exp``, ``iss``, ``aud`` and ``sub`` must be
there. Whatever else can be wrong with one is the same answer, 401, which tells a forger nothing.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Self
from urllib.parse import urlsplit

from jwt import PyJWT, PyJWTError, get_unverified_header
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

from plimsoll_runtime.errors import BadTokenError, SettingsError
from plimsoll_runtime.jwks import Jwks, Key
from plimsoll_runtime.settings import Environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx2

SECRET_BYTES: Final = 32
"""The least that RFC 7518 allows for HS256."""

LONGEST_TOKEN: Final = 8192
"""Characters; a longer one is not looked at."""

WRONG: Final = (PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What PyJWT and the JSON under it raise on bytes that somebody has made up."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who asks, and what the token allows."""

    subject: str
    """The token's ``sub``: the issuer's name for a person or a program, and what things are owned by."""

    scopes: frozenset[str] = frozenset()
    """The words of its ``scope``."""


class TokenSettings(Environment):
    """Whose tokens are taken. One of secret and URL: a key that verifies one kind must never verify the other."""

    plimsoll_token_issuer: Annotated[str, Field(min_length=1)]
    """What ``iss`` must be."""

    plimsoll_token_audience: Annotated[str, Field(min_length=1)]
    """What ``aud`` must be, or hold: a token for another service is not for us."""

    plimsoll_token_secret: SecretStr | None = None
    """Signs and verifies, by HS256; from a Secret."""

    plimsoll_token_jwks_url: str | None = None
    """Where the issuer publishes its keys, for RS256 and ES256; they may change at any time."""

    plimsoll_token_leeway_seconds: Annotated[float, Field(ge=0, le=300)] = 30
    """By how much the issuer's clock and ours may differ."""

    @field_validator("plimsoll_token_secret")
    @classmethod
    def _is_long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and (length := len(secret.get_secret_value().encode())) < SECRET_BYTES:
            raise ValueError(f"has {length} bytes, and HS256 needs {SECRET_BYTES} or more (try: openssl rand -hex 32)")
        return secret

    @field_validator("plimsoll_token_jwks_url")
    @classmethod
    def _is_safe(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            near = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
            if not parts.hostname or not (parts.scheme == "https" or near):
                raise ValueError("must begin with https://: whoever answers in its place could sign in as anybody")
        return url

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.plimsoll_token_secret is None) == (self.plimsoll_token_jwks_url is None):
            raise ValueError("set one of PLIMSOLL_TOKEN_SECRET and PLIMSOLL_TOKEN_JWKS_URL: tokens need a key")
        return self


class Claims(BaseModel):
    """What we read of a verified token; the rest is the issuer's affair."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    sub: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
    scope: str = ""


class Verifier:
    """Turns a bearer token into a principal; one per process, opened by the app's lifespan (``open_verifier``)."""

    def __init__(self, settings: TokenSettings, *, jwks: Jwks | None) -> None:
        secret = settings.plimsoll_token_secret
        self._secret = Key(value=secret.get_secret_value(), algorithm="HS256") if secret is not None else None
        self._jwks = jwks
        self._settings = settings
        self._jwt = PyJWT({"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True})

    async def verify(self, token: str) -> Principal:
        """The principal of a token.

        Raises:
            BadTokenError: forged, foreign, expired, not yet valid, or no token at all.
            BusyError: the issuer's keys are needed and cannot be had now.
        """
        if len(token) > LONGEST_TOKEN:
            raise BadTokenError
        key = self._secret or await self._published(token)
        try:
            payload = self._jwt.decode(
                token,
                key.value,
                algorithms=[key.algorithm],
                issuer=self._settings.plimsoll_token_issuer,
                audience=self._settings.plimsoll_token_audience,
                leeway=self._settings.plimsoll_token_leeway_seconds,
            )
            claims = Claims.model_validate(payload)
        except WRONG:
            raise BadTokenError from None
        return Principal(subject=claims.sub, scopes=frozenset(claims.scope.split()))

    async def _published(self, token: str) -> Key:
        assert self._jwks is not None  # noqa: S101 - TokenSettings has one of the two
        try:
            name = get_unverified_header(token).get("kid")
        except WRONG:
            raise BadTokenError from None
        if not isinstance(name, str):
            raise BadTokenError
        return await self._jwks.key(name)


@asynccontextmanager
async def open_verifier(settings: TokenSettings, *, client: httpx2.AsyncClient) -> AsyncIterator[Verifier]:
    """The verifier, from the app's start to its end.

    An issuer that is away at that moment holds nobody up; its keys are fetched when it is back.
    """
    if settings.plimsoll_token_jwks_url is None:
        yield Verifier(settings, jwks=None)
        return
    jwks = Jwks(settings.plimsoll_token_jwks_url, client=client)
    jwks.refresh()
    try:
        yield Verifier(settings, jwks=jwks)
    finally:
        await jwks.close()


def issue(settings: TokenSettings, *, principal: Principal, seconds: float) -> str:
    """A token that ``Verifier`` takes for so long: for tests and first steps, where no issuer is at hand.

    Raises:
        SettingsError: there is no secret to sign with; tokens come from the issuer of the published keys.
    """
    if settings.plimsoll_token_secret is None:
        raise SettingsError(
            "PLIMSOLL_TOKEN_SECRET is not set: only the issuer of PLIMSOLL_TOKEN_JWKS_URL can sign tokens"
        )
    now = time.time()
    claims = {
        "iss": settings.plimsoll_token_issuer,
        "aud": settings.plimsoll_token_audience,
        "sub": principal.subject,
        "scope": " ".join(sorted(principal.scopes)),
        "iat": int(now),
        "exp": int(now + seconds),
    }
    return PyJWT().encode(claims, settings.plimsoll_token_secret.get_secret_value(), algorithm="HS256")
