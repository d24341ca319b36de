"""No client fills the memory with what the gateway remembers of heads."""

import gc
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from gateway.http import lines as lines_module
from gateway.http.connection_options import connection_options
from gateway.http.fields import Fields, sort_fields
from gateway.http.head import HeadRules, RequestHead, read_head
from gateway.http.host import parse_authority
from gateway.http.lines import PlainHead, _read, read_plain, sort_lines
from gateway.http.memo import Generations, Memo
from gateway.http.response_fields import FIELDS
from gateway.http.return_to import safe_return_to
from gateway.interval import Interval
from gateway.observe.access import _show
from gateway.server.runtime import KnownHeads, kept_bytes
from gateway.spine.evaluate import after_lookup, before_lookup
from gateway.spine.outcome import Lookup
from gateway.spine.ruleset import Ruleset
from gateway.tokens.minter import Issued
from tests.sessions.samples import NOW, a_session
from tests.spine.test_planned import ADA, some_rules
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
        an_upstream_view, a_session_cookie, short_session_cookies, lines, blocks,
        a_chain, a_host, connection_lists, a_response_line, an_address,
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


def kept_and_counted(
    heads: Generations[Any, Any],
    receive: Callable[[int], None],
    *,
    forgetting: Iterable[Memo[Any, Any]],
) -> tuple[int, int]:
    """Return the bytes that are freed with a memo, and those that it counts.

    The others forget first: it may be the last to hold what they had.
    """
    receive(0)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, 100):
            receive(number)
        for memo in forgetting:
            memo.clear()
            memo._older.clear()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        counted = heads._bytes
        heads.clear()
        gc.collect()
        return before - tracemalloc.get_traced_memory()[0], counted
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("lines", [1, 20, 62])
def test_what_is_kept_with_a_head_is_no_more_than_what_is_counted(
    lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive(number: int) -> None:
        fields = "".join(f"h{number}x{each}:1\r\n" for each in range(lines))
        head = f"GET /{number:0200} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()
        for _ in range(2):
            assert read_plain(head, 16_384) is not None

    heads: Generations[bytes, PlainHead] = Generations(10_000, 64 * 1024 * 1024)
    monkeypatch.setattr(lines_module, "_HEADS", heads)
    others = (
        lines_module._MEANINGS, lines_module._BLOCKS, lines_module._REQUEST_LINES
    )  # fmt: skip
    kept, counted = kept_and_counted(heads, receive, forgetting=others)

    assert counted > 99 * 1024
    assert 0.2 * counted < kept < 1.05 * counted


# Requests that were received before, with their outcomes

SESSION = a_session()
GRANTED = 4000


class LongTokens:
    def token(self, *about: object) -> Issued:
        lasts = Interval(NOW - 10, NOW + 60)
        return Issued("x" * GRANTED, signed=False, lasts=lasts)


def a_long_query(number: int) -> tuple[str, str]:
    return "/dashboard?" + "q" * 15_800 + str(number), ""


def a_long_path(number: int) -> tuple[str, str]:
    return "/dashboard/" + "%e2%82%ac" * 300 + str(number), ""


def many_fields(number: int) -> tuple[str, str]:
    return "/dashboard", "".join(f"h{number}x{each}:1\r\n" for each in range(60))


def one_more_field(number: int) -> tuple[str, str]:
    return "/dashboard", f"x:{number}\r\n"


def receive(rules: Ruleset, heads: KnownHeads, target: str, fields: str) -> None:
    """Do what the server does, but keep it at the first time, and have the outcome."""
    cookie = f"{RULES.cookie.name}={ADA.value}"
    fields = f"Host: app.example\r\nCookie: {cookie}\r\n{fields}"
    plain = _read(f"GET {target} HTTP/1.1\r\n{fields}\r\n".encode())
    assert plain is not None
    head = read_head(
        method="GET",
        raw_target=target,
        version=(1, 1),
        fields=plain.fields,
        peer="192.0.2.7",
        tls=False,
        rules=TRUSTING,
    )
    assert isinstance(head, RequestHead)
    lookup = before_lookup(head, rules, now=NOW)
    assert isinstance(lookup, Lookup)
    key = (plain, "192.0.2.7", False)
    heads.keep(key, lookup, kept_bytes(key, head) + GRANTED)
    for _ in range(2):
        after_lookup(lookup, SESSION, rules, now=NOW, nonce="")
    outcome = lookup.known
    assert outcome is not None
    outcome.outbound.encode("r" * 32, "t" * 55)
    _show(outcome.access.head)


@pytest.mark.parametrize(
    "request_of", [a_long_query, a_long_path, many_fields, one_more_field]
)
def test_what_is_kept_with_a_request_is_no_more_than_what_is_counted(
    request_of: Callable[[int], tuple[str, str]],
) -> None:
    rules = replace(RULES)
    object.__setattr__(rules, "issuer", LongTokens())
    heads: KnownHeads = Generations(10_000, 64 * 1024 * 1024)
    memos = (lines_module._MEANINGS, VIEW._kept_cookies, RULES._cookies)
    kept, counted = kept_and_counted(
        heads,
        lambda number: receive(rules, heads, *request_of(number)),
        forgetting=memos,
    )

    assert 0.3 * counted < kept < 1.05 * counted
