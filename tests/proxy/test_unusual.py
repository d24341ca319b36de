"""Every response of docs/upstream-responses.md is read as the page says."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.errors import InvalidUpstreamResponse
from tests.proxy.test_upstream_connection import outcome
from tests.proxy.unusual import (
    CUT,
    MISREAD,
    REFUSED,
    RESPONSES,
    TAKEN,
    WAITS,
    documented,
)

ROWS = documented()


@pytest.fixture(scope="module")
def wire_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def verdict(loop: asyncio.AbstractEventLoop, name: str, size: int) -> str:
    each = RESPONSES[name]
    pieces = [each.wire[at : at + size] for at in range(0, len(each.wire), size)]
    found = outcome(loop, pieces, each.method, eof=each.then != "open")
    if found[0] in {"waiting", "reading"}:
        return WAITS
    if found[0] == "refused":
        assert issubclass(found[1], InvalidUpstreamResponse)
        return REFUSED
    status, _, content, error, _ = found
    if error is not None or each.then == "reset":
        return CUT
    return TAKEN if (status, content) == (each.status, each.content) else MISREAD


def test_the_page_has_a_row_for_each() -> None:
    assert list(ROWS) == list(RESPONSES)


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_is_read_as_documented(
    wire_loop: asyncio.AbstractEventLoop, name: str
) -> None:
    assert verdict(wire_loop, name, 1_000_000) == ROWS[name]["Gateway"]


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_in_pieces_is_read_in_the_same_way(
    wire_loop: asyncio.AbstractEventLoop, name: str
) -> None:
    found = verdict(wire_loop, name, 1)

    documented_as = ROWS[name]["Gateway"]
    # A body is forwarded before its end is known to be invalid.
    also = CUT if documented_as == REFUSED and "Chunks" in name else documented_as
    assert found in {documented_as, also}


def test_only_what_may_still_come_is_waited_for() -> None:
    assert {name for name, row in ROWS.items() if row["Gateway"] == WAITS} == {
        "No length: `Connection: keep-alive`, and kept open",
        "Chunks: no last CRLF, and kept open",
    }


def test_what_all_three_take_is_taken() -> None:
    refused = {
        name
        for name, row in ROWS.items()
        if row["nginx"] == row["HAProxy"] == row["Go"] == TAKEN
        and row["Gateway"] != TAKEN
    }

    assert refused == {"Chunks: `Content-Length` as a trailer"}


def test_nothing_is_taken_that_only_one_takes() -> None:
    alone = {
        name
        for name, row in ROWS.items()
        if row["Gateway"] == TAKEN
        and [row["nginx"], row["HAProxy"], row["Go"]].count(TAKEN) < 2
    }

    # RFC 9112, section 5.1: a proxy removes the space.
    assert alone == {
        "Fields: space before the colon",
        "Fields: tab before the colon",
        "Fields: space before the colon of `Set-Cookie`",
    }
