"""The API's door: what PostgREST would refuse is refused here."""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pytest_aiohttp import AiohttpServer

from gateway.demo.bearer import BadToken, GatewayKeys, claims_of, verify

NOW = 1_800_000_000.0
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
CLAIMS = {
    "aud": "postgrest",
    "iat": NOW,
    "exp": NOW + 60,
    "role": "authenticated",
    "tenant_id": "t_acme",
}


def public(key: ec.EllipticCurvePrivateKey, kid: str) -> dict[str, Any]:
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "alg": "ES256", "use": "sig"}


PUBLIC = jwt.PyJWK(public(KEY, "k1"))


def token(
    claims: dict[str, Any] | None = None,
    *,
    key: Any = KEY,
    kid: str = "k1",
    algorithm: str = "ES256",
    **changes: object,
) -> str:
    full = {**(CLAIMS if claims is None else claims), **changes}
    full = {name: value for name, value in full.items() if value is not None}
    return jwt.encode(full, key, algorithm=algorithm, headers={"kid": kid})


def by_hand(algorithm: str, sign: Callable[[bytes], bytes]) -> str:
    """What no library would sign for us."""
    parts = ({"alg": algorithm, "kid": "k1"}, CLAIMS)
    signed = ".".join(coded(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{coded(sign(signed.encode()))}"


def coded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hmac_with_the_public_key(signed: bytes) -> bytes:
    secret = KEY.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return hmac.digest(secret, signed, "sha256")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        pytest.param(token(key=OTHER), "signature", id="forged"),
        pytest.param(
            by_hand("none", lambda _: b""), "cannot be verified", id="alg-none"
        ),
        pytest.param(
            by_hand("HS256", hmac_with_the_public_key), "cannot be verified", id="hmac"
        ),
        pytest.param(token(exp=NOW - 31), "expired", id="expired"),
        pytest.param(token(exp=None), "lacks", id="no-end"),
        pytest.param(token(exp="soon"), "not a number", id="end-is-a-word"),
        pytest.param(token(exp=True), "not a number", id="end-is-true"),
        pytest.param(token(nbf=NOW + 31), "not valid yet", id="not-yet"),
        pytest.param(token(iat=NOW + 31), "in the future", id="issued-tomorrow"),
        pytest.param(token(aud="web"), "another audience", id="wrong-audience"),
        pytest.param(token(aud=None), "lacks", id="no-audience"),
        pytest.param(token()[:-4] + "AAAA", "signature", id="broken-signature"),
    ],
)
def test_a_token_that_postgrest_would_refuse_is_refused(bad: str, why: str) -> None:
    with pytest.raises(BadToken, match=why):
        claims_of(bad, PUBLIC, NOW)


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(token(), id="as-minted"),
        pytest.param(token(exp=NOW - 29), id="within-the-skew"),
        pytest.param(token(iat=NOW + 29, nbf=NOW + 29), id="clock-ahead"),
        pytest.param(token(aud=["web", "postgrest"]), id="two-audiences"),
    ],
)
def test_a_good_token_gives_its_claims(good: str) -> None:
    assert claims_of(good, PUBLIC, NOW)["tenant_id"] == "t_acme"


@pytest.fixture
async def published(
    aiohttp_server: AiohttpServer,
) -> dict[str, Any]:
    """A gateway's JWKS that counts how often it is asked, and can rotate."""
    state: dict[str, Any] = {"keys": [public(KEY, "k1")], "asked": 0}

    async def jwks(_: web.Request) -> web.Response:
        state["asked"] += 1
        return web.json_response(
            {"keys": state["keys"]}, content_type="application/jwk-set+json"
        )

    app = web.Application()
    app.router.add_get("/jwks.json", jwks)
    server = await aiohttp_server(app)
    state["url"] = str(server.make_url("/jwks.json"))
    return state


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer x", "Bearer a.b.c"]
)
async def test_what_is_no_bearer_token_is_refused(
    published: dict[str, Any], header: str
) -> None:
    with pytest.raises(BadToken):
        await verify(header, GatewayKeys(published["url"]), NOW)


async def test_the_keys_are_asked_for_once(
    published: dict[str, Any],
) -> None:
    keys = GatewayKeys(published["url"])

    for _ in range(3):
        await verify(f"Bearer {token()}", keys, NOW)

    assert published["asked"] == 1


async def test_invented_key_ids_do_not_make_us_ask_again(
    published: dict[str, Any],
) -> None:
    keys = GatewayKeys(published["url"])

    for kid in ("k1", "made-up", "made-up-too"):
        if kid == "k1":
            await verify(f"Bearer {token(kid=kid)}", keys, NOW)
            continue
        with pytest.raises(BadToken, match="no key of the gateway"):
            await verify(f"Bearer {token(kid=kid)}", keys, NOW)

    assert published["asked"] == 1


async def test_a_new_key_is_found_after_a_rotation(
    published: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = GatewayKeys(published["url"])
    await verify(f"Bearer {token()}", keys, NOW)
    published["keys"] = [public(OTHER, "k2"), public(KEY, "k1")]
    monkeypatch.setattr("gateway.demo.bearer._AGAIN_SECONDS", -1.0)

    claims = await verify(f"Bearer {token(key=OTHER, kid='k2')}", keys, NOW)

    assert claims["role"] == "authenticated"
    assert published["asked"] == 2
