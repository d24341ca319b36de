"""A line of a response is read to the letter, and its field is what its name says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidUpstreamResponse
from gateway.http import response_fields
from gateway.http.response_fields import FIELDS, read_field

ROLES = {
    b"Content-Length": response_fields.LENGTH,
    b"TRANSFER-ENCODING": response_fields.CODING,
    b"connection": response_fields.OPTIONS,
    b"Keep-Alive": response_fields.KEEP_ALIVE,
    b"Upgrade": response_fields.HOP,
    b"TE": response_fields.HOP,
    b"Trailer": response_fields.HOP,
    b"Proxy-Authenticate": response_fields.HOP,
    b"Proxy-Authentication-Info": response_fields.HOP,
    b"Proxy-Connection": response_fields.HOP,
    b"X-Request-ID": response_fields.RESERVED,
    b"x-gateway-sign-in": response_fields.RESERVED,
    b"X-Gateway-": response_fields.RESERVED,
    b"X-Gateway": response_fields.PLAIN,
    b"Set-Cookie": response_fields.COOKIE,
    b"Set-Cookie2": response_fields.PLAIN,
    b"date": response_fields.DATE,
    b"Cache-Control": response_fields.CACHE,
    b"CDN-Cache-Control": response_fields.CACHE,
    b"Content-Type": response_fields.PLAIN,
    b"Location": response_fields.PLAIN,
}


@pytest.mark.parametrize(("name", "role"), ROLES.items())
def test_the_role_is_that_of_the_name_in_any_case(name: bytes, role: int) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert read_field(spelled + b": x").role == role


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"X:y", b"y"),
        (b"X: \t y z \t", b"y z"),
        (b"X:", b""),
        (b"X: \t ", b""),
        (b"X: a:b", b"a:b"),
        (b"X: \xe4\xff\x80", b"\xe4\xff\x80"),
        (b"X \t: a", b"a"),
        (b"X: a\x01b\x7f", b"a b"),
    ],
)
def test_a_value_goes_on_without_the_space_around_it(line: bytes, value: bytes) -> None:
    found = read_field(line)

    assert found.value == value
    assert found.wire == b"X: %b\r\n" % value


@pytest.mark.parametrize(
    "line",
    [b"", b"X", b": a", b" X: a", b"X(: a", b"X\xe4: a", b"X Y: a"]
    + [b"X: a%cb" % octet for octet in (0, 10, 13)]
    + [b"Content-Length : 3", b"Connection\t: x", b"X-Gateway-Sign-In : e30"]
    + [b"Transfer-Encoding: \x0bchunked"],
)
def test_what_is_not_a_field_is_refused(line: bytes) -> None:
    for _ in range(2):
        with pytest.raises(InvalidUpstreamResponse):
            FIELDS[line]


@given(st.binary(max_size=40))
def test_any_bytes_give_a_field_without_a_line_end_or_none(line: bytes) -> None:
    try:
        found = FIELDS[line]
    except InvalidUpstreamResponse:
        return

    assert not set(found.wire[:-2]) & set(b"\r\n\0")


def test_a_value_does_not_print() -> None:
    assert "the-secret" not in repr(FIELDS[b"Set-Cookie: the-secret"])
    assert "the-secret" not in repr(FIELDS)


def test_cookies_and_the_gateways_own_fields_are_not_remembered() -> None:
    lines = [b"Set-Cookie: sid=%d" % n for n in range(5)]
    lines += [b"X-Gateway-Sign-In: eyJ9", b"SET-COOKIE: a=b", b"X-Plain: yes"]

    for line in lines:
        FIELDS[line]

    assert [line for line in lines if line in FIELDS] == [b"X-Plain: yes"]


@pytest.mark.parametrize("line", [b"Set-Cookie: a=\x01b", b"Set-Cookie: a\x7f=b"])
def test_a_cookie_that_browsers_ignore_is_not_forwarded(line: bytes) -> None:
    assert read_field(line).role == response_fields.RESERVED


def test_a_cookie_with_a_space_before_its_colon_is_one() -> None:
    assert read_field(b"Set-Cookie : a=b").role == response_fields.COOKIE
