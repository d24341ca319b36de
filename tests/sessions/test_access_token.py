"""The form of an access token: one spelling, and a checksum that scanners can compute."""

import re
from hashlib import sha256
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.authorization import CredentialKind
from gateway.sessions.access_token import (
    AccessToken,
    new_access_token,
    read_access_token,
)
from gateway.sessions.cookie import new_token

TOKEN = new_access_token(bytes(range(32)))
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def read(text: str) -> AccessToken | None:
    return read_access_token(text, CredentialKind.BEARER)


def number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 62 + ALPHABET.index(digit)
    return value


def test_a_token_is_what_the_documentation_states() -> None:
    assert re.fullmatch(r"gwt_[0-9A-Za-z]{49}", TOKEN.value)
    assert number(TOKEN.value[4:47]).to_bytes(32, "big") == bytes(range(32))
    assert number(TOKEN.value[47:]) == crc32(TOKEN.value[:47].encode())
    assert TOKEN.key == sha256(TOKEN.value.encode()).hexdigest()


@given(st.binary(min_size=32, max_size=32))
def test_what_is_made_is_read_again(random: bytes) -> None:
    token = new_access_token(random)

    found = read(token.value)

    assert found is not None
    assert found.key == token.key


@pytest.mark.parametrize("count", [0, 31, 33])
def test_a_token_has_256_bits(count: int) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        new_access_token(bytes(count))


BAD = "1" if TOKEN.value[-1] != "1" else "2"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(new_token(bytes(32)).value, id="the value of a session cookie"),
        pytest.param(TOKEN.value[:-1], id="the last character missing"),
        pytest.param(TOKEN.value[:-7], id="cut off"),
        pytest.param(TOKEN.value[4:], id="without the prefix"),
        pytest.param("ghp_" + TOKEN.value[4:], id="the prefix of another issuer"),
        pytest.param("GWT_" + TOKEN.value[4:], id="the prefix in capitals"),
        pytest.param(TOKEN.value.swapcase(), id="the case changed"),
        pytest.param(TOKEN.value.lower(), id="in lower case"),
        pytest.param(TOKEN.value[:-1] + BAD, id="another checksum"),
        pytest.param(TOKEN.value + "\n", id="a line break behind it"),
        pytest.param(" " + TOKEN.value[1:], id="a space before it"),
        pytest.param(TOKEN.value[:20] + "-" + TOKEN.value[21:], id="another character"),
        pytest.param(TOKEN.value[:20] + "ö" + TOKEN.value[21:], id="beyond ASCII"),
        pytest.param(f"{TOKEN.value},{TOKEN.value}", id="two of them"),
    ],
)
def test_what_was_changed_on_the_way_is_none(text: str) -> None:
    assert read(text) is None


def test_no_secret_is_printed() -> None:
    assert TOKEN.value not in f"{TOKEN!r} {TOKEN}"
    assert TOKEN.fingerprint in repr(TOKEN)
