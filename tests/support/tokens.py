"""Bearer tokens for tests: an issuer of their own, and the environment in which a service trusts it."""

from __future__ import annotations

from plimsoll_runtime.tokens import Principal, TokenSettings, issue
from pydantic import SecretStr

TOKENS = TokenSettings(
    plimsoll_token_issuer="tests",
    plimsoll_token_audience="captions",
    plimsoll_token_secret=SecretStr("of these tests, and of nothing else"),
)
ENVIRONMENT = {
    "PLIMSOLL_TOKEN_ISSUER": TOKENS.plimsoll_token_issuer,
    "PLIMSOLL_TOKEN_AUDIENCE": TOKENS.plimsoll_token_audience,
    "PLIMSOLL_TOKEN_SECRET": "of these tests, and of nothing else",
}


def bearer(subject: str = "tester", *scopes: str, seconds: float = 3600) -> dict[str, str]:
    """The header of a request by somebody."""
    token = issue(TOKENS, principal=Principal(subject=subject, scopes=frozenset(scopes)), seconds=seconds)
    return {"authorization": f"Bearer {token}"}
