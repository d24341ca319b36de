"""The public keys, for whoever verifies our tokens."""

import jwt
import orjson

from gateway.server.endpoints.jwks import jwks
from gateway.tokens.ring import JWKS_MAX_AGE
from tests.http.heads import head
from tests.server.parts import call, the_runtime
from tests.sessions.samples import NOW, a_session


async def test_a_token_is_verified_by_what_is_published() -> None:
    runtime = the_runtime()
    session = a_session()
    issued = runtime.rules.issuer.token("assertion", session, None, NOW, "jti")
    assert issued is not None
    token = issued.token

    answer, _ = await call(jwks, head(), runtime=runtime)

    keys = jwt.PyJWKSet.from_dict(orjson.loads(answer.reply.body))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token,
        key,
        algorithms=["EdDSA"],
        audience="web",
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    assert claims["sub"] == session.identity.id


async def test_no_private_part_is_published() -> None:
    answer, _ = await call(jwks, head())

    for key in orjson.loads(answer.reply.body)["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)


async def test_it_may_be_kept_for_less_than_a_new_key_waits() -> None:
    answer, _ = await call(jwks, head())

    assert dict(answer.reply.headers) == {
        "Content-Type": "application/jwk-set+json",
        "Cache-Control": f"public, max-age={JWKS_MAX_AGE}",
        "Access-Control-Allow-Origin": "*",
        "X-Content-Type-Options": "nosniff",
    }
    assert answer.cookies == ()
