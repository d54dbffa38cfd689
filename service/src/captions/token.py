"""``python -m captions.token --subject me``: a token for first steps, signed with the service's own secret.

Run where the service runs, for that is where the secret is. In production tokens come from your identity provider, by
PLIMSOLL_TOKEN_JWKS_URL, and this command refuses: docs/how-to/authenticate.md.
"""

from __future__ import annotations

import argparse
import sys

from plimsoll_runtime.errors import PlimsollError
from plimsoll_runtime.tokens import Principal, TokenSettings, issue


def main(argv: list[str] | None = None) -> int:
    """Print a token; returns the exit code."""
    parser = argparse.ArgumentParser(prog="captions.token", description="Print a bearer token for this service.")
    parser.add_argument("--subject", required=True, help="whose token it is")
    parser.add_argument("--scope", action="append", default=[], help="what it allows besides, such as users:admin")
    parser.add_argument("--seconds", type=int, default=3600, help="how long it is valid (default: an hour)")
    given = parser.parse_args(argv)
    principal = Principal(subject=given.subject, scopes=frozenset(given.scope))
    try:
        print(issue(TokenSettings.load(), principal=principal, seconds=given.seconds))  # noqa: T201 - what was asked for
    except PlimsollError as error:
        print(f"captions.token: {error}", file=sys.stderr)  # noqa: T201 - one sentence to a person
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
