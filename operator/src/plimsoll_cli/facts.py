"""What each server gives: by hand (``--max-connections``), or asked of the server itself (``--dsn``).

Third step of ``plan``, unless ``--live`` takes the operator's own readings. Both options may be given for all budgets,
or once per budget as ``NAMESPACE/NAME=VALUE``. Budgets that are given numbers by hand count as servers of their own.
"""

from __future__ import annotations

import asyncio
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from plimsoll.budget.capacity import ServerFacts
from plimsoll.errors import ProbeFailed

from plimsoll_cli.source import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from plimsoll.api.meta import BudgetKey

_FOR_ONE: Final = re.compile(r"([a-z0-9][-a-z0-9]*/[a-z0-9][-a-z0-9.]*)=(.*)", re.DOTALL)
_MOST: Final = 262143
_CONNECT_TIMEOUT_SECONDS: Final = 5


def by_hand(
    keys: Iterable[BudgetKey], values: Iterable[str], *, superuser_reserved: int, reserved: int
) -> dict[BudgetKey, ServerFacts]:
    """Servers as somebody says that they are set.

    Raises:
        BadInput: a value is no number of connections, or a budget has none.
    """
    facts = {}
    for key, value in _each(keys, values, option="--max-connections").items():
        if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= _MOST):
            raise BadInput(f"--max-connections {value}: not a number from 1 to {_MOST}; use the server's own setting.")
        facts[key] = ServerFacts(
            version="",
            max_connections=int(value),
            superuser_reserved=superuser_reserved,
            reserved=reserved,
            role_limit=None,
            database_limit=None,
        )
    return facts


def asked(keys: Iterable[BudgetKey], values: Iterable[str]) -> dict[BudgetKey, ServerFacts]:
    """Servers as they answer; one URI is asked once.

    Raises:
        BadInput: a value is no URI, or a budget has none.
        ProbeFailed: a server does not answer.
    """
    uris = _each(keys, values, option="--dsn")
    if not all(uri.startswith(("postgresql://", "postgres://")) for uri in uris.values()):  # not repeated: passwords
        raise BadInput("--dsn: not a PostgreSQL URI; write postgresql://user:password@host:5432/database.")
    answers = asyncio.run(_answers(dict.fromkeys(uris.values())))
    return {key: answers[uri] for key, uri in uris.items()}


async def _answers(uris: Iterable[str]) -> dict[str, ServerFacts]:
    from plimsoll_operator.probe import probe  # noqa: PLC0415 - the database client, for those who ask a server

    answers = {}
    for uri in uris:
        try:
            answers[uri] = await probe(uri, connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS)
        except ProbeFailed as failure:  # its sentences are about a budget's Secret, which is not where this URI is from
            raise ProbeFailed(str(failure).replace("the Secret's URI", "the URI of --dsn"), full=failure.full) from None
    return answers


def _each(keys: Iterable[BudgetKey], values: Iterable[str], *, option: str) -> Mapping[BudgetKey, str]:
    known = {str(key): key for key in keys}
    general, special = "", {}
    for value in values:
        if (found := _FOR_ONE.fullmatch(value)) is None:
            general = value
            continue
        name, rest = found.groups()
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise BadInput(
                f"{option} {name}=…: no such budget in the input; "
                + (f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}.")
            )
        special[name] = rest
    if missing := next((name for name in known if not general and name not in special), ""):
        raise BadInput(f"{option}: nothing is said of budget {missing}; add {option} {missing}=VALUE.")
    return {key: special.get(name, general) for name, key in known.items()}
