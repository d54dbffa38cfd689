"""Who asks: bearer tokens, verified. A service's ``deps`` calls ``Verifier.verify`` for each request.

A token is a JWT. The algorithm is fixed by the kind of key that is configured, never taken from the token: HS256 for a
secret, RS256 or ES256 for the issuer's published keys (``jwks``). ``exp``, ``iss``, ``aud`` and ``sub`` must be there.
Everything else that can be wrong with one is the same answer, 401, and the log does not hold the token.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who asks, and what the token allows."""

    subject: str
    """The token's ``sub``: the issuer's name for a person or a program, and what things are owned by."""

    scopes: frozenset[str] = frozenset()
    """The words of its ``scope``."""


class Verifier:
    """Turns a bearer token into a principal; one per process, made by the app's lifespan."""

    async def verify(self, token: str) -> Principal:
        """The principal of a token.

        Raises:
            BadTokenError: forged, foreign, expired, not yet valid, or no token at all.
            BusyError: the issuer's keys are needed and cannot be had now.
        """
        raise NotImplementedError
