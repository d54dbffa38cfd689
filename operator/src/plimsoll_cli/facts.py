"""What each server gives: by hand (``--max-connections``), or asked of the server itself (``--dsn``).

Third step of ``plan``, unless ``--live`` takes the operator's own readings. Both options may be given for all budgets,
or once per budget as ``NAMESPACE/NAME=VALUE``. Budgets that are given numbers by hand count as servers of their own.
A value is never repeated unless it is a number: what is given to the wrong option may hold a password.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from plimsoll.budget.capacity import ServerFacts
from plimsoll.errors import ProbeFailed

from plimsoll_cli.source import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from plimsoll.api.meta import BudgetKey

_FOR_ONE: Final = re.compile(r"([a-z0-9][-a-z0-9]*/[a-z0-9][-a-z0-9.]*)=(.*)", re.DOTALL)
_NO_NAMESPACE: Final = re.compile(r"([a-z0-9][-a-z0-9.]*)=.*", re.DOTALL)
_MOST: Final = 262143
_CONNECT_TIMEOUT_SECONDS: Final = 5
_BY_HAND: Final = "--max-connections"


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What one option says: the value for all budgets, and those for one.

    Attributes:
        option: the option, or the environment variable, that the values come from.
        general: the value for all others; empty where there is none.
        special: names of budgets → values.
    """

    option: str
    general: str
    special: Mapping[str, str]

    def of(self, name: str) -> str | None:
        """What it says of one budget."""
        return self.special.get(name, self.general or None)


def facts_of(
    keys: Iterable[BudgetKey],
    *,
    numbers: Iterable[str] = (),
    uris: Iterable[str] = (),
    uri_option: str = "--dsn",
    superuser_reserved: int = 3,
    reserved: int = 0,
) -> dict[BudgetKey, ServerFacts]:
    """Every server, as it is said to be set or as it answers; one URI is asked once.

    Raises:
        BadInput: a value is no number or no URI, or a budget has none, or both.
        ProbeFailed: a server does not answer.
    """
    known = {str(key): key for key in keys}
    by_hand, asked = _said(known, numbers, option=_BY_HAND), _said(known, uris, option=uri_option)
    if by_hand.general and asked.general:
        raise BadInput(
            f"{_BY_HAND} and {uri_option} are both given for all budgets; leave one out, or write NAMESPACE/NAME="
            " before its value."
        )
    for name in by_hand.special.keys() & asked.special.keys():
        raise BadInput(f"{_BY_HAND} and {uri_option} are both given for budget {name}; leave one out.")
    facts, to_ask = {}, {}
    for name, key in known.items():
        source = asked if name in asked.special or (asked.general and name not in by_hand.special) else by_hand
        value = source.of(name)
        if value is None:
            option = _BY_HAND if by_hand.special or not asked.special else uri_option
            raise BadInput(f"{option}: nothing is said of budget {name}; add {option} {name}=VALUE.")
        label = f"{source.option} {name}=" if name in source.special else source.option
        if source is asked:
            to_ask[key] = _uri(value, label=label)
            continue
        facts[key] = ServerFacts(
            version="",
            max_connections=_number(value, label=label),
            superuser_reserved=superuser_reserved,
            reserved=reserved,
            role_limit=None,
            database_limit=None,
        )
    if to_ask:
        answers = asyncio.run(_answers(dict.fromkeys(to_ask.values()), option=uri_option))
        facts |= {key: answers[uri] for key, uri in to_ask.items()}
    return facts


def _number(value: str, *, label: str) -> int:
    is_number = value.isascii() and value.isdigit()
    if is_number and 1 <= int(value[:9]) <= _MOST:
        return int(value)
    if "://" in value:
        raise BadInput(f"{label}: not a number from 1 to {_MOST}; it looks like a URI, and --dsn takes one.")
    shown = f" {value[:9]}" if is_number else ""
    raise BadInput(f"{label}{shown}: not a number from 1 to {_MOST}; use the server's own setting.")


def _uri(value: str, *, label: str) -> str:
    if not value.startswith(("postgresql://", "postgres://")):
        raise BadInput(f"{label}: not a PostgreSQL URI; write postgresql://user:password@host:5432/database.")
    return value


async def _answers(uris: Iterable[str], *, option: str) -> dict[str, ServerFacts]:
    from plimsoll_operator.probe import probe  # noqa: PLC0415 - the database client, for those who ask a server

    answers = {}
    for uri in uris:
        try:
            answers[uri] = await probe(uri, connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS)
        except ProbeFailed as failure:  # its sentences are about a budget's Secret, which is not where this URI is from
            said = str(failure).replace("the Secret's URI", f"the URI of {option}")
            said = said.replace("The Secret's value", f"The value of {option}")
            raise ProbeFailed(said, full=failure.full) from None
    return answers


def _said(known: Iterable[str], values: Iterable[str], *, option: str) -> Said:
    names = tuple(known)
    general, special = "", dict[str, str]()
    for value in values:
        if (found := _FOR_ONE.fullmatch(value)) is None:
            if bare := _NO_NAMESPACE.fullmatch(value):
                raise BadInput(f"{option}: {_with_namespace(bare[1], names)}")
            if general:
                raise BadInput(f"{option}: there are two values for all budgets; write NAMESPACE/NAME= before each.")
            if not value:
                raise BadInput(f"{option}: the value is empty; give it one.")
            general = value
            continue
        name, rest = found.groups()
        if name not in names:
            near = get_close_matches(name, names, n=1)
            raise BadInput(
                f"{option} {name}=…: no such budget in the input; "
                + (f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none'}.")
            )
        if name in special:
            raise BadInput(f"{option} {name}=…: there are two values for this budget; leave one out.")
        special[name] = rest
    return Said(option=option, general=general, special=special)


def _with_namespace(bare: str, names: Iterable[str]) -> str:
    """How to name a budget; the name as it was given is repeated only where it is one."""
    meant = [name for name in names if name.endswith(f"/{bare}")]
    if meant:
        return f"{bare}= names no namespace; write {' or '.join(f'{each}=…' for each in meant)}."
    return "a budget is named with its namespace; write NAMESPACE/NAME=VALUE."
