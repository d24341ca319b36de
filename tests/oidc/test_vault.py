"""What is sealed opens only with a known key, unchanged, and in its own place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oidc.vault import NONCE_BYTES, NotOpened, Vault

NONCE = bytes(NONCE_BYTES)
OLD, NEW = Vault({"k1": b"1" * 32}), Vault({"k2": b"2" * 32, "k1": b"1" * 32})


@given(st.text(), st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_opens_again(plain: str, place: str) -> None:
    if not plain.isprintable() and "\ud800" <= max(plain, default="") <= "\udfff":
        return

    assert OLD.open(OLD.seal(plain, place, NONCE), place) == plain


def test_a_text_of_another_place_does_not_open() -> None:
    sealed = OLD.seal("secret", "session-1", NONCE)

    with pytest.raises(NotOpened) as error:
        OLD.open(sealed, "session-2")
    assert not error.value.unknown_key


def test_a_key_id_of_another_key_does_not_open() -> None:
    sealed = OLD.seal("secret", "place", NONCE)

    with pytest.raises(NotOpened):
        NEW.open(sealed.replace("k1:", "k2:"), "place")


def test_the_first_key_seals_and_all_open() -> None:
    old, new = OLD.seal("secret", "place", NONCE), NEW.seal("secret", "place", NONCE)

    assert (old[:3], new[:3]) == ("k1:", "k2:")
    assert NEW.open(old, "place") == NEW.open(new, "place") == "secret"


def test_a_key_that_is_not_configured_is_distinguished_from_a_changed_text() -> None:
    with pytest.raises(NotOpened) as error:
        OLD.open(NEW.seal("secret", "place", NONCE), "place")
    assert error.value.unknown_key


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_changed_byte_is_accepted(at: int, flip: int) -> None:
    sealed = bytearray(OLD.seal("secret", "place", NONCE).encode())
    at %= len(sealed)
    sealed[at] ^= flip

    with pytest.raises(NotOpened):
        OLD.open(sealed.decode("latin-1"), "place")


@given(st.one_of(st.text(), st.binary().map(lambda raw: "k1:" + raw.hex())))
def test_any_text_is_refused_and_nothing_else_is_raised(text: str) -> None:
    with pytest.raises(NotOpened):
        OLD.open(text, "place")


def test_keys_do_not_print() -> None:
    assert "111" not in repr(OLD)
