"""Rotation: which key signs when, and that no verifier is ever surprised."""

from dataclasses import dataclass, replace
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tokens.claims import compile_claims
from gateway.tokens.key_files import Algorithm, KeyRing, SigningKey, embedded_ring
from gateway.tokens.minter import Minter, TokenProfile
from gateway.tokens.ring import (
    CLOCK_LEEWAY,
    JWKS_MAX_AGE,
    PUBLICATION_DELAY,
    ClockBehind,
    InUse,
    KeyState,
    NotYetInUse,
    NotYetRetirable,
    OnlyKey,
    Retirable,
    plan_retirement,
)
from tests.tokens.subjects import make_session, minted, numbered

T = 1_800_000_000.0
LIFETIME = 60.0

_MADE = [embedded_ring("ES256", now=0).keys[0] for _ in range(4)]
_OTHER = embedded_ring("EdDSA", now=0).keys[0]


def key(number: int, created: float) -> SigningKey:
    return replace(_MADE[number], created=created, published=created)


def ring(*keys: SigningKey, algorithm: str = "ES256") -> KeyRing:
    return KeyRing(keys, Algorithm(algorithm))


def test_a_ring_that_cannot_sign_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no EdDSA key"):
        ring(key(0, T), algorithm="EdDSA")


def test_an_unknown_key_has_no_state() -> None:
    with pytest.raises(KeyError):
        ring(key(0, T)).state("nope", T)
    with pytest.raises(KeyError):
        plan_retirement(ring(key(0, T)), "nope", now=T, lifetime=LIFETIME)


def test_the_only_key_signs_at_once() -> None:
    only = key(0, T)

    assert ring(only).signing(T) == only


@pytest.mark.parametrize(
    ("now", "states"),
    [
        (T, ("signing", "next")),
        (T + PUBLICATION_DELAY - 0.1, ("signing", "next")),
        (T + PUBLICATION_DELAY, ("published", "signing")),
        (T - 99_999, ("signing", "next")),
    ],
)
def test_a_new_key_is_published_before_it_signs(
    now: float, states: tuple[str, str]
) -> None:
    old, young = key(0, T - 10_000), key(1, T)
    both = ring(young, old)

    assert (both.state(old.kid, now), both.state(young.kid, now)) == states


def test_of_two_that_wait_the_first_signs() -> None:
    assert ring(key(1, T + 1), key(0, T)).signing(T + 2) == key(0, T)


def test_a_key_of_another_algorithm_is_published_and_never_signs() -> None:
    other = replace(_OTHER, created=T + 5, published=T + 5)
    both = ring(key(0, T), other)

    assert both.signing(T + 99_999).kid == _MADE[0].kid
    assert both.state(other.kid, T + 6) is KeyState.PUBLISHED
    assert len(both.jwks()["keys"]) == 2


@given(
    st.permutations(range(4)),
    st.lists(st.floats(min_value=0, max_value=5000), min_size=4, max_size=4),
    st.floats(min_value=-100, max_value=9000),
)
def test_one_key_signs_in_whatever_order_the_keys_come(
    order: list[int], created: list[float], after: float
) -> None:
    keys = [key(number, T + created[number]) for number in range(4)]
    shuffled = ring(*(keys[number] for number in order))

    assert shuffled == ring(*keys)
    states = [shuffled.state(one.kid, T + after) for one in keys]
    assert states.count(KeyState.SIGNING) == 1


# Retirement


SAFE = T + PUBLICATION_DELAY + LIFETIME + CLOCK_LEEWAY


@pytest.mark.parametrize(
    ("number", "now", "plan"),
    [
        pytest.param(0, T + 1, InUse(T + PUBLICATION_DELAY), id="it still signs"),
        pytest.param(0, SAFE - 1, NotYetRetirable(SAFE), id="its tokens live"),
        pytest.param(0, SAFE, Retirable(), id="its tokens are over"),
        pytest.param(1, T + 1, NotYetInUse(), id="it waits to sign"),
        pytest.param(1, SAFE, InUse(None), id="it signs"),
        pytest.param(0, T - 61, ClockBehind(), id="an old key by a clock set back"),
        pytest.param(1, T - 61, ClockBehind(), id="a new key by a clock set back"),
    ],
)
def test_a_key_goes_when_no_token_needs_it(
    number: int, now: float, plan: object
) -> None:
    both = ring(key(0, T - 10_000), key(1, T))

    assert plan_retirement(both, _MADE[number].kid, now=now, lifetime=60) == plan


def test_the_only_key_stays() -> None:
    one = ring(key(0, T), _OTHER)

    plan = plan_retirement(one, _MADE[0].kid, now=T, lifetime=60)

    assert plan == OnlyKey()


def test_a_key_of_another_algorithm_goes_once_the_change_is_over() -> None:
    both = ring(key(0, T), _OTHER)

    early = plan_retirement(both, _OTHER.kid, now=SAFE - 1, lifetime=60)

    assert early == NotYetRetirable(SAFE)
    assert plan_retirement(both, _OTHER.kid, now=SAFE, lifetime=60) == Retirable()


@given(
    ages=st.lists(st.integers(0, 2_000), min_size=1, max_size=4),
    ahead=st.integers(0, 5_000),
    behind=st.integers(0, 5_000),
)
def test_no_clock_that_was_set_back_lets_the_signing_key_go(
    ages: list[int], ahead: int, behind: int
) -> None:
    """Gateways never go back in time; the clock of the command may have."""
    now = T + ahead
    made = ring(*(key(at, T - age) for at, age in enumerate(ages)))
    signing = made.signing(now).kid

    plan = plan_retirement(made, signing, now=now - behind, lifetime=60)

    assert not isinstance(plan, Retirable | NotYetRetirable)


# The whole of it, in simulated time


@dataclass
class Verifier:
    """Keeps its copy for all of max-age, and never asks earlier for an unknown key."""

    fetched: float = float("-inf")
    keys: jwt.PyJWKSet | None = None

    def verify(self, token: str, published: KeyRing, now: float) -> None:
        if self.keys is None or now >= self.fetched + JWKS_MAX_AGE:
            self.fetched = now
            self.keys = jwt.PyJWKSet.from_dict(published.jwks())
        kid = jwt.get_unverified_header(token)["kid"]
        options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
        claims = jwt.decode(token, self.keys[kid], ["ES256"], options, audience="db")
        assert claims["nbf"] <= now <= claims["exp"]


@settings(max_examples=25, deadline=None)
@given(
    phase=st.floats(min_value=0, max_value=JWKS_MAX_AGE),
    step=st.floats(min_value=17, max_value=59),
    late=st.floats(min_value=0, max_value=JWKS_MAX_AGE - 1),
    held=st.floats(min_value=0, max_value=LIFETIME / 2 - 1),
)
def test_no_request_is_refused_during_a_rotation(
    phase: float, step: float, late: float, held: float
) -> None:
    """Two replicas, one of which reloads late; each token is used once more later."""
    old, young = key(0, T - 10_000), key(1, T)
    profiles = {
        "db": TokenProfile(
            name="db",
            audience="db",
            header=None,
            cookie=None,
            claims=compile_claims({}),
        )
    }
    session, jti = make_session(expires_at=T + 99_999), numbered()

    def replica(made: KeyRing) -> Minter:
        return Minter(ring=made, profiles=profiles, issuer="i", lifetime=LIFETIME)

    replicas = [replica(ring(old)), replica(ring(old))]
    reloads = [(T, 0), (T + late, 1)]
    before = [(phase - JWKS_MAX_AGE, 0), (phase - JWKS_MAX_AGE, 1)]
    verifiers = [Verifier(), Verifier()]
    for (offset, index), verifier in zip(before, verifiers, strict=True):
        verifier.fetched = T + offset
        verifier.keys = jwt.PyJWKSet.from_dict(replicas[index].ring.jwks())
    gone_at = SAFE + late
    kids = set()
    now = T
    while now < gone_at + 2 * JWKS_MAX_AGE:
        for at, index in reloads:
            if now >= at and now - step < at:
                replicas[index].ring = ring(old, young)
        if now >= gone_at and len(replicas[0].ring.keys) == 2:
            plan = plan_retirement(replicas[0].ring, old.kid, now=now, lifetime=60)
            assert plan == Retirable()
            for minter in replicas:
                minter.ring = ring(young)
        for minter in replicas:
            token = minted(minter, "db", session, None, now, jti)
            assert token is not None
            kids.add(jwt.get_unverified_header(token)["kid"])
            for verifier, requested in zip(verifiers, reversed(replicas), strict=True):
                verifier.verify(token, requested.ring, now)
                replace(verifier).verify(token, requested.ring, now + held)
        now += step
    assert kids == {old.kid, young.kid}
