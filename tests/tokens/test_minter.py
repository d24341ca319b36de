"""Tokens: whom they are about, how long they live, when they are used again."""

from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sessions.record import Method, Session, Tenant
from gateway.tokens.claims import ClaimsError, compile_claims
from gateway.tokens.key_files import Algorithm, KeyRing, embedded_ring
from gateway.tokens.minter import Minter, TokenProfile
from gateway.tokens.ring import PUBLICATION_DELAY
from gateway.tokens.template import REGISTERED
from tests.tokens.subjects import (
    ACME,
    DATABASE,
    GLOBEX,
    NOW,
    make_session,
    minted,
    numbered,
)

RING = embedded_ring("ES256", now=NOW - 10)
ISSUER = "https://gw.test"


def profile(name: str, claims: dict[str, Any]) -> TokenProfile:
    return TokenProfile(
        name=name,
        audience=f"aud-{name}",
        header="Authorization",
        cookie=None,
        claims=compile_claims(claims),
    )


def make_minter(
    *, ring: KeyRing = RING, lifetime: float = 60, cache_size: int = 100
) -> Minter:
    return Minter(
        ring=ring,
        profiles={"db": profile("db", DATABASE), "web": profile("web", {})},
        issuer=ISSUER,
        lifetime=lifetime,
        cache_size=cache_size,
    )


def read(token: str | None) -> dict[str, Any]:
    assert token is not None
    options: Any = {"verify_signature": False}
    return dict(jwt.decode(token, options=options))


# Who gets none


@pytest.mark.parametrize(
    ("session", "tenant", "name"),
    [
        pytest.param(make_session(tenants=()), None, "db", id="member of none"),
        pytest.param(make_session(), None, "db", id="no tenant chosen"),
        pytest.param(make_session(tenants=(ACME,)), GLOBEX, "db", id="other tenant"),
        pytest.param(make_session(tenants=()), ACME, "web", id="tenant of nobody"),
        pytest.param(make_session(expires_at=NOW), ACME, "db", id="over now"),
        pytest.param(make_session(expires_at=NOW - 9), ACME, "db", id="over"),
        pytest.param(make_session(expires_at=NOW + 0.5), ACME, "db", id="over soon"),
        pytest.param(make_session(identity="x" * 600), ACME, "db", id="huge id"),
    ],
)
def test_no_user_gets_a_token_of_another(
    session: Session, tenant: Tenant | None, name: str
) -> None:
    assert minted(make_minter(), name, session, tenant, NOW, numbered()) is None


def test_who_is_in_no_tenant_still_proves_who_he_is() -> None:
    session = make_session(tenants=())

    token = minted(make_minter(), "web", session, None, NOW, numbered())

    assert read(token)["sub"] == "u_ann"


def test_an_unknown_profile_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        minted(make_minter(), "nope", make_session(), ACME, NOW, numbered())


# What it says


def test_a_token_has_these_claims_and_no_others() -> None:
    token = minted(make_minter(), "db", make_session(), ACME, NOW, numbered())

    assert read(token) == {
        "iss": ISSUER,
        "aud": "aud-db",
        "sub": "u_ann",
        "sid": "s_1",
        "iat": 1_800_000_000,
        "nbf": 1_800_000_000,
        "exp": 1_800_000_060,
        "jti": "jti-0",
        "role": "authenticated",
        "tenant_id": "t_acme",
        "tenant_role": "owner",
        "email": "ann@acme.test",
    }
    assert token is not None
    assert jwt.get_unverified_header(token) == {
        "alg": "ES256",
        "typ": "JWT",
        "kid": RING.keys[0].kid,
    }


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_a_verifier_needs_no_more_than_the_key_set(algorithm: str) -> None:
    ring = embedded_ring(algorithm, now=NOW)
    minter = make_minter(ring=ring)

    token = minted(minter, "db", make_session(), ACME, NOW, numbered())

    assert token is not None
    key = jwt.PyJWKSet.from_dict(ring.jwks())[ring.keys[0].kid]
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims = jwt.decode(token, key, [algorithm], options, audience="aud-db")
    assert claims["tenant_id"] == "t_acme"


def test_a_shared_secret_signs_and_is_not_published() -> None:
    ring = embedded_ring("HS256", now=NOW)

    token = minted(make_minter(ring=ring), "web", make_session(), None, NOW, numbered())

    assert token is not None
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    assert ring.jwks() == {"keys": []}


@given(
    st.dictionaries(
        st.sampled_from([*sorted(REGISTERED), "role", "a"]), st.text(max_size=8)
    ),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8)),
)
def test_no_template_and_no_trait_sets_a_registered_claim(
    claims: dict[str, str], traits: dict[str, str]
) -> None:
    escaped = {n: v.replace("{", "{{").replace("}", "}}") for n, v in claims.items()}
    if REGISTERED & set(claims):
        with pytest.raises(ClaimsError):
            compile_claims(escaped)
        return
    minter = make_minter()
    minter.profiles["mine"] = profile("mine", escaped)

    stated = read(
        minted(minter, "mine", make_session(traits=traits), ACME, NOW, numbered())
    )

    assert stated["sub"] == "u_ann"
    assert stated["aud"] == "aud-mine"
    assert set(stated) == REGISTERED | set(claims)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.floats(min_value=-2, max_value=40),  # time goes on (or a bit back)
            st.floats(min_value=-5, max_value=90),  # session ends so long after now
        ),
        min_size=1,
        max_size=12,
    ),
    st.floats(min_value=1, max_value=300),
)
def test_no_token_outlives_its_session_or_is_handed_out_late(
    steps: list[tuple[float, float]], lifetime: float
) -> None:
    minter = make_minter(lifetime=lifetime, ring=HS_RING)
    now = NOW
    for passed, left in steps:
        now += passed
        session = make_session(expires_at=now + left)

        token = minted(minter, "db", session, ACME, now, numbered())

        if token is None:
            assert left <= 1
            continue
        stated = read(token)
        assert stated["exp"] <= session.expires_at
        assert stated["exp"] - stated["iat"] <= lifetime
        assert stated["nbf"] == stated["iat"] <= now
        assert now < stated["exp"]
        assert now <= stated["iat"] + 1 or now < (stated["iat"] + stated["exp"]) / 2


HS_RING = embedded_ring("HS256", now=NOW)


# When it is used again


def test_a_token_is_used_again_until_half_its_life_is_over() -> None:
    minter, session, jti = make_minter(), make_session(), numbered()

    first = minted(minter, "db", session, ACME, NOW, jti)
    later = minted(minter, "db", session, ACME, NOW + 29, jti)
    half = minted(minter, "db", session, ACME, NOW + 30, jti)

    assert first == later
    assert half != first


BASE = make_session()


@pytest.mark.parametrize(
    ("session", "tenant", "name"),
    [
        pytest.param(make_session(session_id="s_2"), ACME, "db", id="another session"),
        pytest.param(BASE, GLOBEX, "db", id="another tenant"),
        pytest.param(BASE, None, "web", id="another profile"),
        pytest.param(make_session(roles=("admin",)), ACME, "db", id="roles"),
        pytest.param(make_session(traits={"email": "x@y"}), ACME, "db", id="traits"),
        pytest.param(
            make_session(tenants=(replace(ACME, role="member"), GLOBEX)),
            replace(ACME, role="member"),
            "db",
            id="role in the tenant",
        ),
        pytest.param(make_session(aal="aal2"), ACME, "db", id="step-up"),
        pytest.param(make_session(expires_at=NOW + 40), ACME, "db", id="cut short"),
    ],
)
def test_what_is_not_the_same_gets_another_token(
    session: Session, tenant: Tenant | None, name: str
) -> None:
    minter, jti = make_minter(), numbered()
    first = minted(minter, "db", BASE, ACME, NOW, jti)

    assert minted(minter, name, session, tenant, NOW + 1, jti) != first


def test_being_seen_again_changes_no_token() -> None:
    minter, jti = make_minter(), numbered()
    first = minted(minter, "db", BASE, ACME, NOW, jti)
    seen = replace(BASE, last_seen_at=NOW + 5, expires_at=BASE.expires_at + 99)

    assert minted(minter, "db", seen, ACME, NOW + 5, jti) == first


def test_a_rotation_shows_in_the_next_token() -> None:
    young = embedded_ring("ES256", now=NOW + 1).keys[0]
    minter = make_minter(
        ring=KeyRing((*RING.keys, young), Algorithm.ES256), lifetime=3600
    )
    session, jti = make_session(), numbered()
    takeover = young.published + PUBLICATION_DELAY

    before = minted(minter, "db", session, ACME, takeover - 1, jti)
    after = minted(minter, "db", session, ACME, takeover, jti)

    assert before is not None
    assert after is not None
    assert jwt.get_unverified_header(before)["kid"] == RING.keys[0].kid
    assert jwt.get_unverified_header(after)["kid"] == young.kid


def test_a_clock_set_back_gives_no_token_from_the_future() -> None:
    minter, session, jti = make_minter(), make_session(), numbered()
    minted(minter, "db", session, ACME, NOW, jti)

    assert read(minted(minter, "db", session, ACME, NOW - 50, jti))["nbf"] <= NOW - 50


def test_memory_is_bounded_and_keeps_who_came_last() -> None:
    minter, jti = make_minter(cache_size=2, ring=HS_RING), numbered()
    one, two, three = (make_session(session_id=f"s_{n}") for n in range(3))

    first = minted(minter, "db", one, ACME, NOW, jti)
    minted(minter, "db", two, ACME, NOW, jti)
    assert minted(minter, "db", one, ACME, NOW, jti) == first
    minted(minter, "db", three, ACME, NOW, jti)

    assert len(minter._minted) == 2
    assert minted(minter, "db", one, ACME, NOW, jti) == first


def test_nothing_prints_a_token() -> None:
    minter = make_minter()
    token = minted(minter, "db", BASE, ACME, NOW, numbered())

    assert token is not None
    assert token not in repr(minter)
    assert token not in repr(minter._minted)


def test_what_is_forgotten_is_made_again() -> None:
    minter, jti = make_minter(), numbered()
    first = minted(minter, "db", BASE, ACME, NOW, jti)
    minter.forget()

    assert minted(minter, "db", BASE, ACME, NOW, jti) != first


@given(
    start=st.integers(-100, 800),
    steps=st.lists(st.integers(-100, 800), max_size=6),
    lifetime=st.sampled_from([1.0, 10.0, 60.0]),
    left=st.sampled_from([5.5, 40.0, 4000.0]),
)
def test_a_token_is_the_same_for_as_long_as_it_says(
    start: int, steps: list[int], lifetime: float, left: float
) -> None:
    """Over a change of the key, too; the next one signs from NOW + 400.5."""
    old, new = (embedded_ring("ES256", now=NOW - at).keys[0] for at in (2000, 199.5))
    minter = make_minter(ring=KeyRing((old, new), Algorithm.ES256), lifetime=lifetime)
    session = make_session(expires_at=NOW + left)
    now = NOW + start / 2
    issued = minter.token("web", session, None, now, "one")
    if issued is None:
        return

    for step in steps:
        later = NOW + step / 2
        again = minter.token("web", session, None, later, "two")
        if again is not None and again.token == issued.token:
            continue
        assert not issued.lasts.since <= later < issued.lasts.until
        return


def minter_of(made: TokenProfile) -> Minter:
    return Minter(ring=RING, profiles={made.name: made}, issuer=ISSUER, lifetime=60)


def verified(token: str, audience: str) -> dict[str, Any]:
    (key,) = jwt.PyJWKSet.from_dict(RING.jwks()).keys
    options: Any = {"verify_iat": False, "verify_nbf": False, "verify_exp": False}
    return dict(
        jwt.decode(token, key.key, ["ES256"], audience=audience, options=options)
    )


def test_an_audience_may_be_a_list_and_a_verifier_finds_itself_in_it() -> None:
    made = replace(profile("db", {}), audience=("postgrest", "realtime"))

    token = minted(minter_of(made), "db", make_session(), ACME, NOW, numbered())

    assert token is not None
    assert read(token)["aud"] == ["postgrest", "realtime"]
    for audience in ("postgrest", "realtime"):
        assert verified(token, audience)["sub"] == "u_ann"
    with pytest.raises(jwt.InvalidAudienceError):
        verified(token, "web")


def test_a_lifetime_of_its_own_never_outlives_the_session() -> None:
    made = replace(profile("db", {}), lifetime=600.0)

    long = read(minted(minter_of(made), "db", make_session(), ACME, NOW, numbered()))
    ending = make_session(expires_at=NOW + 30)
    short = read(minted(minter_of(made), "db", ending, ACME, NOW, numbered()))

    assert long["exp"] - long["iat"] == 600
    assert short["exp"] == int(NOW + 30)


SAID = {
    "at": "{session.authenticated_at}",
    "until": "{session.expires_at}",
    "by": "{session.methods}",
    "all": "{tenants.ids}",
    "name": "{tenant.name}",
}


def test_times_methods_and_memberships_can_be_claims() -> None:
    session = replace(
        make_session(), methods=(Method(method="totp", completed_at=NOW),)
    )
    made = minter_of(profile("db", SAID))

    stated = read(minted(made, "db", session, ACME, NOW, numbered()))
    extended = replace(session, expires_at=NOW + 90_000)
    later = read(minted(made, "db", extended, ACME, NOW, numbered()))

    assert stated["at"] == int(NOW - 100)
    assert (stated["by"], stated["all"]) == (["totp"], ["t_acme", "t_globex"])
    assert stated["name"] == "Acme"
    assert (stated["until"], later["until"]) == (int(NOW + 86_400), int(NOW + 90_000))
