"""Raw requests that broke other gateways, sent through this one to a strict upstream.

Each case is one connection. Where the gateway keeps that connection open, a last
request is sent over it: it must arrive as itself, for otherwise the two ends do not
agree where the case ended.
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from gateway.reasons import ROWS, Reason
from tests.servers import Server
from tests.walk.harness import (
    RecordingUpstream,
    Reply,
    Seen,
    base_config,
    connected,
    running_gateway,
)

VECTORS = Path(__file__).parent.parent / "vectors" / "http_cases.json"
CASES: dict[str, dict[str, str]] = {
    case["id"]: case for case in json.loads(VECTORS.read_text())
}
HALF_CLOSED = {"cl-short-then-eof", "chunk-no-last"}

LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

# What `normalize` leaves open, as the gateway decides it: the targets that reach the
# upstream, in their order. Nothing: it refuses.
DECIDED: dict[str, list[str]] = {
    "te-tab-before": ["/"],
    "te-tab-after": [],
    "te-name-underscore": ["/"],
    "lf-only-second-hidden": [],
    "cl-dup-same": [],
    "chunk-ext-legal": ["/"],
    "chunk-ext-empty": [],
    "chunk-zero-pad": ["/"],
    "chunk-trailer-legal": ["/"],
    "chunk-trailer-identity": [],
    "line-method-lower": [],
    "line-abs-form-other-host": [],
    "host-empty": [],
    "host-trailing-dot": ["/"],
    "pipeline-valid": ["/", "/two"],
    "pipeline-after-close": [],
    "post-no-length-then-get": ["/"],
    "leading-many-crlf": ["/"],
    "upgrade-bad-version": [],
    "upgrade-h2c": ["/"],
    "hop-strip-cookie": ["/"],
    "hop-strip-identity": ["/"],
    "identity-spoof": ["/"],
}
BODIES = {
    "te-uppercase": b"Z",
    "te-tab-before": b"Z",
    "te-name-underscore": b"0\r\n\r\n",
    "chunk-ext-legal": b"hello",
    "chunk-upper-hex": b"0123456789",
    "chunk-zero-pad": b"hello",
    "chunk-trailer-legal": b"hello",
    "upgrade-with-body": b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
    "expect-get-body": b"ABCDEFG",
}


def of(*expected: str) -> list[str]:
    return [name for name, case in CASES.items() if case["expect"] in expected]


@dataclass(slots=True)
class Outcome:
    """What became of one case: the answers, and what the upstream was sent."""

    replies: list[Reply]
    hung_up: bool
    """The gateway closed the connection of its own accord."""
    upstream: RecordingUpstream
    log: list[dict[str, Any]]

    @property
    def complete(self) -> list[Seen]:
        return [seen for seen in self.upstream.complete if seen.target != "/last"]


async def outcome_of(
    name: str, rule: str, upstream: RecordingUpstream, folder: Path, redis: Server
) -> Outcome:
    config = base_config(upstream.port)
    config["server"]["timeouts"] = {"request_headers": "20s"}
    # The names that the cases try to speak in.
    config["identity_headers"] = {"X-Auth-User": "{identity.id}"}
    config["routes"] = [
        {"match": "/**", "rule": rule, "upstream": "web"},
        {"match": "/evil/**", "rule": "protected", "upstream": "web"},
        {"match": "/last", "rule": "public", "session": "ignore", "upstream": "web"},
    ]
    raw = base64.b64decode(CASES[name]["raw_b64"])
    replies = []
    async with (
        running_gateway(config, folder, redis.url) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(raw)
        if name in HALF_CLOSED:
            client.end()
            hung_up, rest = True, await client.silence()
            # A refusal may be out before the end of the sending is seen.
            assert not rest or (rule == "protected" and rest[9:12] == b"401")
        else:
            replies.append(await client.reply())
            hung_up = replies[0].one("Connection") == "close"
            if not hung_up:
                await client.send(LAST)
            while replies[-1].one("Connection") != "close":
                replies.append(await client.reply())
            assert await client.silence() == b""
    await upstream.settled()
    return Outcome(replies, hung_up, upstream, gateway.lines())


def is_refusal(reply: Reply) -> bool:
    return 400 <= reply.status < 500 or reply.status in {501, 505}


def assert_canonical(wire: bytes) -> None:
    """Read a connection to the upstream, accepting one spelling of everything."""
    while wire:
        head, found, wire = wire.partition(b"\r\n\r\n")
        assert found, f"a head without an end: {head!r}"
        line, *fields = head.split(b"\r\n")
        assert re.fullmatch(rb"[A-Za-z]+ /[!-~]* HTTP/1\.1", line), line
        stated: dict[bytes, list[bytes]] = {}
        for field in fields:
            shaped = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([ -~]*)", field)
            assert shaped, f"not a canonical field: {field!r}"
            stated.setdefault(shaped[1].lower(), []).append(shaped[2])
        assert len(stated[b"host"]) == 1
        assert {b"upgrade", b"te", b"trailer", b"expect"}.isdisjoint(stated)
        assert {b"x_auth_user", b"x-auth-user", b"transfer_encoding"}.isdisjoint(stated)
        assert {b"transfer-encoding", b"content-length"} - set(stated), "both framings"
        assert not re.search(rb"[\r\n]", head.replace(b"\r\n", b"")), "bare CR or LF"
        for length in stated.get(b"content-length", ()):
            assert re.fullmatch(rb"0|[1-9][0-9]*", length), length
            wire = wire[int(length) :]
        for coding in stated.get(b"transfer-encoding", ()):
            assert coding == b"chunked"
            wire = after_chunks(wire)


def after_chunks(wire: bytes) -> bytes:
    while wire:
        size, found, wire = wire.partition(b"\r\n")
        assert found, f"a chunk size without an end: {size!r}"
        assert re.fullmatch(rb"0|[1-9a-f][0-9a-f]*", size), size
        count = int(size, 16)
        assert wire[count:].startswith(b"\r\n"), "a chunk as long as it says"
        wire = wire[count + 2 :]
        if count == 0:
            return wire
    return b""


def assert_echoes_nothing(reply: Reply) -> None:
    """A refusal is made of the status, the reason and the id, and of nothing else."""
    problem = reply.json()
    reason = Reason(problem["reason"])
    assert problem == {
        "type": "about:blank",
        "title": HTTPStatus(reply.status).phrase,
        "status": reply.status,
        "reason": reason.value,
        "detail": ROWS[reason].sentence,
        "request_id": reply.one("X-Request-Id"),
    }
    assert re.fullmatch(r"[0-9a-f]{32}", problem["request_id"])
    assert reply.one("Content-Type") == "application/problem+json"
    assert {name for name, _ in reply.headers} <= {
        "content-type", "content-security-policy", "cache-control",
        "x-content-type-options", "referrer-policy", "x-frame-options", "date",
        "x-request-id", "content-length", "connection", "allow", "upgrade",
        "sec-websocket-version",
    }  # fmt: skip


def assert_sound(outcome: Outcome, names: Sequence[str] = ()) -> None:
    """Hold for every case: no evil, one spelling, and nothing unexpected logged."""
    assert not [seen for seen in outcome.upstream.seen if "evil" in seen.target]
    assert all("without sending complete" in e for e in outcome.upstream.errors)
    assert not [
        line for line in outcome.log if line.get("message") == "unexpected error"
    ]
    for wire in outcome.upstream.wire:
        assert_canonical(bytes(wire))
    for seen in outcome.upstream.seen:
        for name in names:
            assert not seen.all(name)


@pytest.mark.parametrize("name", of("reject_400", "no_forward"))
async def test_a_request_that_two_could_read_differently_is_refused(
    name: str, upstream: RecordingUpstream, tmp_path: Path, redis: Server
) -> None:
    outcome = await outcome_of(name, "public", upstream, tmp_path, redis)

    assert outcome.hung_up
    assert outcome.complete == []
    if name not in HALF_CLOSED:
        assert is_refusal(outcome.replies[0])
        assert_echoes_nothing(outcome.replies[0])
    assert len(outcome.replies) == (0 if name in HALF_CLOSED else 1)
    assert_sound(outcome)


@pytest.mark.parametrize("name", of("single_request"))
async def test_a_request_that_can_be_read_in_one_way_arrives_once(
    name: str, upstream: RecordingUpstream, tmp_path: Path, redis: Server
) -> None:
    outcome = await outcome_of(name, "public", upstream, tmp_path, redis)

    assert [reply.status for reply in outcome.replies] == [200, 200]
    assert [seen.target for seen in outcome.complete] == ["/"]
    assert outcome.complete[0].body == BODIES.get(name, b"")
    assert outcome.upstream.last.target == "/last"
    assert_sound(outcome)


@pytest.mark.parametrize("name", of("normalize"))
async def test_what_is_passed_on_of_an_odd_request_is_in_one_spelling(
    name: str, upstream: RecordingUpstream, tmp_path: Path, redis: Server
) -> None:
    outcome = await outcome_of(name, "public", upstream, tmp_path, redis)

    assert [seen.target for seen in outcome.complete] == DECIDED[name]
    assert is_refusal(outcome.replies[0]) is not bool(DECIDED[name])
    if outcome.complete:
        assert outcome.complete[0].body == BODIES.get(name, b"")
    else:
        assert_echoes_nothing(outcome.replies[0])
    if not outcome.hung_up:
        assert outcome.upstream.last.target == "/last"
    assert_sound(outcome, ["X-Sum", "X-Auth-User", "X_Auth_User", "HTTP2-Settings"])


@pytest.mark.parametrize("name", CASES)
async def test_without_a_session_no_byte_of_it_reaches_a_protected_upstream(
    name: str, upstream: RecordingUpstream, tmp_path: Path, redis: Server
) -> None:
    outcome = await outcome_of(name, "protected", upstream, tmp_path, redis)

    assert [
        seen.target for seen in outcome.upstream.seen if seen.target != "/last"
    ] == []
    assert len(outcome.upstream.wire) == len(outcome.upstream.seen) <= 1
    for reply in outcome.replies[: None if outcome.hung_up else -1]:
        assert is_refusal(reply)
    assert_sound(outcome)


def test_every_case_is_judged_by_one_of_the_tests() -> None:
    judged = of("reject_400", "no_forward", "single_request", "normalize")

    assert sorted(judged) == sorted(CASES)
    assert sorted(DECIDED) == sorted(of("normalize"))
    assert len(CASES) == 115
