"""The Authorization field: one reading, or none."""

from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.authorization import (
    Authorization,
    NoAuthorization,
    Repeated,
    Sent,
    Unreadable,
    read_authorization,
)
from gateway.http.headers import line_of


def read(*values: bytes, name: bytes = b"Authorization") -> Authorization:
    return read_authorization([line_of(name, value) for value in values])


def basic(pair: bytes) -> bytes:
    return b"Basic " + b64encode(pair)


def test_without_the_field_there_is_nothing() -> None:
    assert read_authorization([line_of(b"X-Authorization", b"Bearer t")]) == (
        NoAuthorization()
    )


@pytest.mark.parametrize("second", [b"Bearer t", b"", b"Digest x"])
def test_two_fields_are_refused_also_when_they_are_equal(second: bytes) -> None:
    assert read(b"Bearer t", second) == Repeated()


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        pytest.param(b"Bearer t0k", "t0k", id="as in RFC 6750"),
        pytest.param(b"bEARER t0k", "t0k", id="the scheme in any case"),
        pytest.param(b"Bearer   t0k", "t0k", id="several spaces"),
        pytest.param(b" \tBearer t0k \t", "t0k", id="white space around the value"),
        pytest.param(b"Bearer a, Bearer b", "a, Bearer b", id="a list is one secret, of a bad shape"),
        pytest.param(b"Bearer \tt0k", "\tt0k", id="a tab behind the space is of the secret"),
        pytest.param(basic(b"user:t0k"), "t0k", id="the password of Basic"),
        pytest.param(basic(b":t0k"), "t0k", id="no user name"),
        pytest.param(basic("Zoë:t0k".encode()), "t0k", id="a user name in UTF-8"),
        pytest.param(basic(b"a b:t0k"), "t0k", id="a user name with a space"),
        pytest.param(basic(b"user:a:b"), "a:b", id="a colon in the password"),
    ],
)  # fmt: skip
def test_what_is_read(value: bytes, secret: str) -> None:
    found = read(value)

    assert isinstance(found, Sent)
    assert found.secret == secret


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Bearer", id="no token"),
        pytest.param(b"Bearer ", id="no token, but a space"),
        pytest.param(b"Bearer\tt0k", id="a tab for the space"),
        pytest.param(b"Bearer, t0k", id="a comma"),
        pytest.param(b"Bearer t\xc3\xb6k", id="a token beyond ASCII"),
        pytest.param(b"Bearer " + b"t" * 17_000, id="too long"),
        pytest.param(b"Basic ", id="no password"),
        pytest.param(b"Basic !!!!", id="not base64"),
        pytest.param(b"Basic " + b64encode(b"user:t0")[:-1], id="without padding"),
        pytest.param(basic(b"user:t0k") + b"=", id="too much padding"),
        pytest.param(b"Basic dXNlcjp0MGs= ,x", id="more behind it"),
        pytest.param(b"Basic dXNlcjp0\tMGs=", id="a tab inside"),
        pytest.param(b"Basic " + urlsafe_b64encode(b"u~~~>?:t"), id="the URL alphabet"),
        pytest.param(b"Basic dXNlcjp0MB==", id="spare bits that are not zero"),
        pytest.param(basic(b"user"), id="no colon"),
        pytest.param(basic(b"user:"), id="an empty password"),
        pytest.param(basic(b"us\xffer:t0k"), id="a user name that is not UTF-8"),
        pytest.param(basic(b"user:t\xff"), id="a password that is not UTF-8"),
        pytest.param(basic("user:tök".encode()), id="a password beyond ASCII"),
        pytest.param(basic(b"us\ner:t0k"), id="a line break"),
        pytest.param(basic(b"user:t0k\x00"), id="a NUL"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_one_way_is_not_read(value: bytes) -> None:
    assert isinstance(read(value), Unreadable)


def test_another_scheme_has_no_secret() -> None:
    assert read(b'Digest username="u"') == Sent("digest", "")


def test_the_name_counts_in_any_case() -> None:
    assert read(b"Bearer t", name=b"aUTHORIZATION") == Sent("bearer", "t")


def test_no_secret_is_printed() -> None:
    assert "t0k" not in repr(read(b"Bearer t0k"))


@given(st.binary(max_size=80) | st.binary(max_size=60).map(basic))
def test_any_bytes_give_a_value(value: bytes) -> None:
    assert isinstance(read(value), Sent | Unreadable)
