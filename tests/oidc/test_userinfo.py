"""Claims of UserInfo, added to those of an ID token."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oidc.failure import SignInFailed
from gateway.oidc.userinfo import add_userinfo, read_userinfo

A, B = "ada@example.com", "eve@evil.example"
ADDRESSES: list[Any] = [
    # An address that one source has, and the other one's word that it is verified.
    ({"email": A}, {"email_verified": True}, (A, None)),
    ({"email": A}, {"email": B, "email_verified": True}, (B, True)),
    ({"email_verified": True}, {"email": B}, (B, None)),
    ({"email_verified": True}, {"email": B, "email_verified": False}, (B, False)),
    ({"email_verified": True}, {}, (None, None)),
    ({}, {"email_verified": True}, (None, None)),
    ({"email": A, "email_verified": False}, {"email": A, "email_verified": True}, (A, False)),
    ({"email": A, "email_verified": True}, {"email": B}, (A, True)),
    ({"email": A}, {}, (A, None)),
    ({"email": None}, {"email": B}, (B, None)),
    ({}, {"email": B, "email_verified": True}, (B, True)),
]  # fmt: skip


@pytest.mark.parametrize(("token", "more", "expected"), ADDRESSES)
def test_an_address_and_its_verification_have_one_source(
    token: dict[str, Any], more: dict[str, Any], expected: Any
) -> None:
    found = add_userinfo(token, more)

    assert (found.get("email"), found.get("email_verified")) == expected


@pytest.mark.parametrize(
    "name", ["acr", "amr", "auth_time", "sid", "iss", "aud", "azp", "nonce", "at_hash"]
)
def test_what_describes_the_sign_in_is_stated_by_the_token_only(name: str) -> None:
    assert add_userinfo({"sub": "s"}, {name: "evil"}) == {"sub": "s"}


def test_objects_are_merged_and_the_token_counts() -> None:
    token = {"a": {"roles": ["x"], "deep": {"one": 1}}, "b": 1, "c": {"d": 2}}
    more = {"a": {"roles": ["evil"], "deep": {"one": 2, "two": 2}}, "b": {}, "c": 3}

    assert add_userinfo(token, more) == {
        "a": {"roles": ["x"], "deep": {"one": 1, "two": 2}},
        "b": 1,
        "c": {"d": 2},
    }


@pytest.mark.parametrize("raw", [b"", b"[]", b'"s"', b"{}", b'{"sub":["s"]}', b'{"sub":"t"}', b'{"sub":"s","sub":"s"}', b"\xff"])  # fmt: skip
def test_what_is_of_another_subject_is_refused(raw: bytes) -> None:
    with pytest.raises(SignInFailed):
        read_userinfo(raw, "s")


_JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
_CLAIMS = st.dictionaries(
    st.sampled_from(["email", "email_verified", "acr", "a"]), _JSON, max_size=4
)


@given(_CLAIMS, _CLAIMS)
def test_userinfo_changes_no_claim_of_the_token_but_an_address(
    token: dict[str, Any], more: dict[str, Any]
) -> None:
    found = add_userinfo(token, more)

    assert found.get("acr") == token.get("acr")
    if token.get("a") is not None and not isinstance(token["a"], dict):
        assert found["a"] == token["a"]
    pairs = [(x.get("email"), x.get("email_verified")) for x in (token, more)]
    assert found.get("email") is None or (
        (found["email"], found.get("email_verified")) in pairs
    )
