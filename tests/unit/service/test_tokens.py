from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx2
import jwt
import pytest
from captions import token as command
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from plimsoll_runtime import jwks
from plimsoll_runtime.errors import BadTokenError, BusyError, SettingsError
from plimsoll_runtime.jwks import Jwks
from plimsoll_runtime.tokens import Principal, TokenSettings, Verifier, issue
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs
from support.tokens import ENVIRONMENT, TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = ENVIRONMENT["PLIMSOLL_TOKEN_SECRET"]
PUBLISHED = TokenSettings(
    plimsoll_token_issuer="tests",
    plimsoll_token_audience="captions",
    plimsoll_token_jwks_url="https://issuer.example/keys",
)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WEAK_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is the point
EC = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TokenSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def claims(**changes: Any) -> dict[str, Any]:
    whole = {"iss": "tests", "aud": "captions", "sub": "me", "exp": time.time() + 60} | changes
    return {name: value for name, value in whole.items() if value is not None}


def signed(key: Any = SECRET, algorithm: str = "HS256", *, kid: str | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def verify(token: str, verifier: Verifier | None = None) -> Principal:
    return asyncio.run((verifier or Verifier(TOKENS, jwks=None)).verify(token))


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


# ---- what is accepted, by a secret


def test_a_token_says_who_asks_and_what_is_allowed() -> None:
    assert verify(signed(scope="users:admin read")) == Principal(
        subject="me", scopes=frozenset({"users:admin", "read"})
    )
    assert verify(signed()).scopes == frozenset()
    assert verify(signed(aud=["other", "captions"])).subject == "me"


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": None}, {"iss": None}, {"aud": None}, {"sub": None},
        {"iss": "other"}, {"aud": "other"}, {"aud": ["other"]},
        {"exp": time.time() - 31}, {"nbf": time.time() + 60}, {"exp": "soon"}, {"exp": float("inf")},
        {"sub": ""}, {"sub": "a\0b"}, {"sub": "x" * 256}, {"scope": ["users:admin"]},
        {"padding": "x" * 9000},
    ],
)  # fmt: skip
def test_one_claim_missing_or_wrong_is_a_bad_token(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadTokenError):
        verify(signed(**wrong))


def test_clocks_may_differ_by_the_leeway_and_no_more() -> None:
    assert verify(signed(exp=time.time() - 25)).subject == "me"
    strict = TOKENS.model_copy(update={"plimsoll_token_leeway_seconds": 0})
    with pytest.raises(BadTokenError):
        verify(signed(exp=time.time() - 25), Verifier(strict, jwks=None))


def test_another_algorithm_is_a_bad_token_whoever_signed_it() -> None:
    unsigned = f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}."
    for token in (unsigned, signed(algorithm="HS512", key=SECRET * 2), signed(RSA, "RS256"), signed("x" * 32)):
        with pytest.raises(BadTokenError):
            verify(token)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: part(raw.hex()) + ".e30.x")))
def test_whatever_else_is_sent_is_a_bad_token_and_no_failure_of_ours(text: str) -> None:
    with pytest.raises(BadTokenError):
        verify(text)


@pytest.mark.parametrize("header", ["[" * 5000, '{"alg": ["HS256"]}', '{"alg": {}}', '"alg"', "1e999", '{"crit": 1}'])
def test_neither_is_an_odd_header(header: str) -> None:
    token = f"{base64.urlsafe_b64encode(header.encode()).decode().rstrip('=')}.{part(claims())}.AAAA"
    for verifier in (Verifier(TOKENS, jwks=None), Verifier(PUBLISHED, jwks=Issuer().jwks())):
        with pytest.raises(BadTokenError):
            verify(token, verifier)


# ---- by keys that an issuer publishes


class Issuer:
    """An issuer's URL, counted."""

    def __init__(self, *keys: dict[str, Any], status: int = 200) -> None:
        self.keys = list(keys)
        self.status = status
        self.asked = 0
        self.now = 1000.0
        self.answering: Callable[[], Any] = lambda: asyncio.sleep(0)

    async def answer(self, _: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        await self.answering()
        return httpx2.Response(self.status, json={"keys": self.keys, "unknown": "members are ignored"})

    def jwks(self) -> Jwks:
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self.answer))
        return Jwks("https://issuer.example/keys", client=client, clock=lambda: self.now)


def rsa_jwk(kid: str, key: rsa.RSAPrivateKey = RSA, **more: str) -> dict[str, Any]:
    return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid} | more


def ec_jwk(kid: str, **more: str) -> dict[str, Any]:
    return ECAlgorithm.to_jwk(EC.public_key(), as_dict=True) | {"kid": kid} | more


def test_published_keys_verify_each_by_its_own_algorithm() -> None:
    issuer = Issuer(rsa_jwk("r", use="sig", alg="RS256"), ec_jwk("e"))

    async def both() -> None:
        verifier = Verifier(PUBLISHED, jwks=issuer.jwks())
        assert (await verifier.verify(signed(RSA, "RS256", kid="r"))).subject == "me"
        assert (await verifier.verify(signed(EC, "ES256", kid="e"))).subject == "me"
        for token in (signed(RSA, "RS512", kid="r"), signed(RSA, "PS256", kid="r"), signed(EC, "ES256", kid="r")):
            with pytest.raises(BadTokenError):
                await verifier.verify(token)

    asyncio.run(both())
    assert issuer.asked == 1


def test_a_public_key_is_no_secret_to_sign_with() -> None:
    """The classic confusion: HS256, keyed with what everybody may read."""
    issuer = Issuer(rsa_jwk("r"), {"kty": "oct", "kid": "o", "k": part("0" * 40), "alg": "HS256"})
    public = rsa_jwk("r")["n"]
    for token in (signed(public, kid="r"), signed("0" * 40, kid="o"), signed(SECRET, kid="r"), signed(RSA, "RS256")):
        with pytest.raises(BadTokenError):
            verify(token, Verifier(PUBLISHED, jwks=issuer.jwks()))


@pytest.mark.parametrize(
    "key",
    [
        rsa_jwk("r", use="enc"),
        rsa_jwk("r", alg="RS512"),
        rsa_jwk("r") | {"n": "!"},
        RSAAlgorithm.to_jwk(RSA, as_dict=True) | {"kid": "r"},
    ],
    ids=["for encryption", "for another algorithm", "damaged", "private"],
)
def test_a_key_that_is_not_for_this_is_not_used(key: dict[str, Any]) -> None:
    with pytest.raises(BadTokenError):
        verify(signed(RSA, "RS256", kid="r"), Verifier(PUBLISHED, jwks=Issuer(key).jwks()))


def test_neither_is_one_that_is_too_short() -> None:
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = signed(WEAK_RSA, "RS256", kid="r")
    with pytest.raises(BadTokenError):
        verify(token, Verifier(PUBLISHED, jwks=Issuer(rsa_jwk("r", WEAK_RSA)).jwks()))


def test_a_rotated_key_is_found_and_made_up_names_do_not_hammer_the_issuer() -> None:
    issuer = Issuer(rsa_jwk("old"))

    async def rotate() -> None:
        keys = issuer.jwks()
        await keys.key("old")
        issuer.keys = [rsa_jwk("new")]
        issuer.now += jwks.COOLDOWN_SECONDS
        await asyncio.gather(*(keys.key("new") for _ in range(50)))
        assert issuer.asked == 2, "fifty at once wait for one request"
        for number in range(200):
            with pytest.raises(BadTokenError):
                await keys.key(f"forged-{number}")
        assert issuer.asked == 2
        with pytest.raises(BadTokenError):
            await keys.key("old")
        issuer.now += jwks.COOLDOWN_SECONDS
        with pytest.raises(BadTokenError):
            await keys.key("forged")
        assert issuer.asked == 3

    asyncio.run(rotate())


def test_an_issuer_that_is_away_costs_nobody_anything_for_a_while_and_then_is_503() -> None:
    issuer = Issuer(rsa_jwk("r"))

    async def away() -> None:
        keys = issuer.jwks()
        await keys.key("r")
        issuer.status = 500
        issuer.now += jwks.FRESH_SECONDS + 1
        hanging = asyncio.Event()
        issuer.answering = hanging.wait
        await keys.key("r")  # although the issuer does not answer at all
        hanging.set()
        with pytest.raises(BusyError):
            await keys.key("who knows")
        await keys.key("r")
        issuer.now += jwks.STALE_SECONDS
        with pytest.raises(BusyError):
            await keys.key("r")
        issuer.status = 200
        issuer.now += jwks.COOLDOWN_SECONDS
        await keys.key("r")
        await keys.close()

    asyncio.run(away())


@pytest.mark.parametrize("answer", ["<html>", "[]", '{"keys": 1}', '{"keys": ["k"]}'])
def test_an_answer_that_is_no_key_set_is_not_believed_and_not_repeated(answer: str) -> None:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, text=answer)))
    with capture_logs() as lines, pytest.raises(BusyError):
        asyncio.run(Jwks("https://issuer.example/keys", client=client).key("r"))
    assert [line["event"] for line in lines] == ["the token issuer's answer is no key set"]
    assert answer not in str(lines)


# ---- settings and the command


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "set one of PLIMSOLL_TOKEN_SECRET and PLIMSOLL_TOKEN_JWKS_URL: tokens need a key"),
        ({"secret": "hunter2"}, "PLIMSOLL_TOKEN_SECRET has 7 bytes, and HS256 needs 32 or more"),
        ({"secret": SECRET, "jwks_url": "https://i.example"}, "set one of PLIMSOLL_TOKEN_SECRET and"),
        ({"jwks_url": "http://i.example"}, "PLIMSOLL_TOKEN_JWKS_URL must begin with https://"),
        ({"jwks_url": "file:///etc/keys"}, "PLIMSOLL_TOKEN_JWKS_URL must begin with https://"),
        ({"secret": SECRET, "leeway_seconds": "3600"}, "PLIMSOLL_TOKEN_LEEWAY_SECONDS should be less than or equal"),
        ({"secret": SECRET, "audience": ""}, "PLIMSOLL_TOKEN_AUDIENCE"),
    ],
)
def test_wrong_settings_are_one_sentence_without_the_secret(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], sentence: str
) -> None:
    for name, value in ({"issuer": "i", "audience": "a"} | changes).items():
        monkeypatch.setenv(f"PLIMSOLL_TOKEN_{name.upper()}", value)
    with pytest.raises(SettingsError) as caught:
        TokenSettings.load()
    assert str(caught.value).startswith(sentence)
    assert "hunter2" not in str(caught.value)


def test_the_secret_appears_nowhere_and_the_settings_are_frozen() -> None:
    for text in (repr(TOKENS), str(TOKENS), str(TOKENS.model_dump()), TOKENS.model_dump_json()):
        assert SECRET not in text
    with pytest.raises(ValidationError):
        TOKENS.plimsoll_token_secret = SecretStr("x" * 32)  # type: ignore[misc] # mypy knows it too


def test_the_command_prints_a_token_that_is_taken() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "captions.token", "--subject", "me", "--scope", "users:admin"],
        env={"PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)} | ENVIRONMENT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert verify(done.stdout.strip()) == Principal(subject="me", scopes=frozenset({"users:admin"}))


def test_it_refuses_where_only_the_issuer_can_sign(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"issuer": "i", "audience": "a", "jwks_url": "https://i.example"}.items():
        monkeypatch.setenv(f"PLIMSOLL_TOKEN_{name.upper()}", value)
    assert command.main(["--subject", "me"]) == 1
    assert capsys.readouterr().err == (
        "captions.token: PLIMSOLL_TOKEN_SECRET is not set: only the issuer of PLIMSOLL_TOKEN_JWKS_URL can sign tokens\n"
    )
    with pytest.raises(SettingsError):
        issue(PUBLISHED, principal=Principal(subject="me"), seconds=1)
