"""No client fills the memory with what the gateway remembers of heads."""

import gc
import tracemalloc
from collections.abc import Callable
from ipaddress import ip_network

import pytest

from gateway.http.connection_options import connection_options
from gateway.http.fields import Fields, sort_fields
from gateway.http.head import HeadRules
from gateway.http.host import parse_authority
from gateway.http.lines import read_plain, sort_lines
from gateway.http.response_fields import FIELDS
from gateway.http.return_to import safe_return_to
from tests.spine.test_planned import some_rules
from tests.test_outbound import view

MOST = 8 * 1024 * 1024
"""Of one memo: the entries of two generations, and what is computed of their bytes."""

RULES = some_rules()
VIEW = view()
TRUSTING = HeadRules(trusted_proxies=(ip_network("10.0.0.0/8"),))


def an_upstream_view(number: int) -> None:
    VIEW.keep_cookies([b"api_jwt=x; a=%04050d" % number])


def a_session_cookie(number: int) -> None:
    RULES.read_cookies([b"a=%04050d" % number])


def short_session_cookies(number: int) -> None:
    for each in range(8):
        RULES.read_cookies([b"gateway_session=%043d" % (8 * number + each)])


def lines(number: int) -> None:
    for each in range(4):
        sort_lines([b"Cookie: a=%01000d" % (4 * number + each)])


def blocks(number: int) -> None:
    for each in range(4):
        field = b"Cookie: a=%01000d" % (4 * number + each)
        head = b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % field
        assert read_plain(head, 16_384) is not None


def a_chain(number: int) -> None:
    for each in range(4):
        chain = f"203.0.113.9, {4 * number + each:0480}"
        fields = sort_fields([(b"X-Forwarded-For", chain.encode())])
        assert isinstance(fields, Fields)
        TRUSTING.client_reported("10.0.0.1", fields)


def a_host(number: int) -> None:
    parse_authority("a" * 30_000 + str(number))


def connection_lists(number: int) -> None:
    if number < 256:
        names = ",".join(f"{number:x}{each:x}" for each in range(2000))
        connection_options(names)


def a_response_line(number: int) -> None:
    _ = FIELDS[b"X-A: %0500d" % number]


def an_address(number: int) -> None:
    address = f"https://a.example/{number:08000}"
    safe_return_to(address, public_origin="https://a.example", allowed=())


@pytest.mark.parametrize(
    "received",
    [
        an_upstream_view, a_session_cookie, short_session_cookies, lines, blocks, a_chain,
        a_host, connection_lists, a_response_line, an_address,
    ],
)  # fmt: skip
def test_what_is_kept_of_ever_new_bytes_is_bounded(
    received: Callable[[int], None],
) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1500):
            received(number)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < MOST, f"{kept / 1024**2:.1f} MiB"
