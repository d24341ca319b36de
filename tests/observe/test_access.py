"""Access lines: their fields, and that no byte of a client can break one."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.head import RequestHead
from gateway.observe import access
from gateway.observe.access import (
    AGENT_CHARACTERS,
    PATH_CHARACTERS,
    AccessLog,
    RejectedConnection,
    labels_part,
)
from gateway.observe.logs import LogOutput
from gateway.reasons import Reason, Verdict
from gateway.routes.model import Route, Rule
from gateway.spine.principal import Principal
from tests.http.heads import REQUEST_ID, TRACEPARENT, head
from tests.observe.lines import Lines
from tests.observe.reference import DURATIONS, reference_line

ROUTE = Route(id="web:/**", path="/**", rule=Rule.PROTECTED, upstream="web")
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)


@dataclass
class Path:
    """Stands for a target whose path no parser has seen."""

    path: str


@dataclass(kw_only=True)
class Ended:
    """A request that has ended."""

    now: float = 1790000000.25
    request_id: str = "5f0c8a2e9d4b4c6f8a1e7b3d2c9f0a61"
    status: int = 200
    verdict: Verdict = Verdict.ALLOW
    reason: Reason = Reason.SIGNED_IN
    route: Route | None = ROUTE
    body_bytes: int = 1234
    upstream: str | None = "web"
    upstream_time: float = 0.01
    principal: Principal = dataclasses.field(
        default_factory=lambda: Principal(
            identity_id="u_1", session_id="s_1", tenant_id="t_acme"
        )
    )
    detail: str = ""
    received_head: RequestHead | None = dataclasses.field(
        default_factory=lambda: head(
            ("User-Agent", "Mozilla/5.0"), target="/dashboard?token=x"
        )
    )
    traceparent: str = TRACEPARENT
    peer: str = "192.0.2.9"
    mode: str = ""
    credential: str = ""


def odd_head(**changes: Any) -> RequestHead:
    """A head with values that `read_head` would refuse."""
    return dataclasses.replace(head(), **changes)


def write(output: LogOutput, ended: Any, duration: float = 0.0125) -> None:
    route = "" if ended.route is None else ended.route.id
    labels = labels_part(
        route, ended.upstream, ended.verdict, ended.reason, ended.status
    )
    AccessLog(output).write(ended, labels, duration)


def line_of(ended: Any) -> dict[str, Any]:
    lines = Lines()
    write(lines.output, ended)
    (event,) = lines.events()
    return event


ended_requests = st.builds(
    Ended,
    now=st.floats(min_value=0, max_value=4e9),
    request_id=ANY_TEXT,
    status=st.integers(0, 999),
    verdict=st.sampled_from(Verdict),
    reason=st.sampled_from(Reason),
    route=st.sampled_from([None, ROUTE, dataclasses.replace(ROUTE, id='"\\\u2028é')]),
    body_bytes=st.integers(0, 2**60),
    upstream=st.none() | ANY_TEXT,
    principal=st.builds(
        Principal,
        identity_id=st.none() | ANY_TEXT,
        session_id=st.none() | ANY_TEXT,
        tenant_id=st.none() | ANY_TEXT,
    ),
    detail=ANY_TEXT,
    received_head=st.none()
    | st.builds(
        odd_head,
        method=ANY_TEXT,
        target=st.builds(Path, ANY_TEXT),
        host=ANY_TEXT | st.just("h" * 300),
        scheme=ANY_TEXT,
        client=ANY_TEXT,
        http_version=st.sampled_from([(1, 0), (1, 1)]),
        user_agent=ANY_TEXT,
    ),
    peer=ANY_TEXT,
    mode=st.sampled_from(["", "forward-auth"]),
    credential=st.sampled_from(["", "bearer"]),
)


@given(ended_requests)
def test_any_bytes_anywhere_give_the_line_of_the_reference(ended: Ended) -> None:
    lines = Lines()
    write(lines.output, ended)

    raw = lines.raw()
    assert raw.count(b"\n") == 1
    assert raw.endswith(b"\n")
    event = orjson.loads(raw)
    for name in DURATIONS:
        event.pop(name, None)
    assert event == reference_line(ended)


@given(ended_requests)
def test_any_bytes_anywhere_give_one_line_of_text(ended: Ended) -> None:
    lines = Lines(fmt="console")
    write(lines.output, ended)

    raw = lines.raw()
    assert raw.count(b"\n") == 1
    assert raw.endswith(b"\n")
    assert b"\r" not in raw


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_no_secret_of_a_request_is_in_its_line(fmt: str) -> None:
    secret = "s3cr3t-Zk9"
    request = head(
        ("Cookie", f"gateway_session={secret}"),
        ("Authorization", f"Bearer {secret}"),
        ("Referer", f"https://app.example/?code={secret}"),
        ("X-Api-Key", secret),
        ("User-Agent", "Browser/1"),
        target=f"/x?token={secret}",
    )
    lines = Lines(fmt=fmt)
    write(lines.output, Ended(received_head=request))

    raw = lines.raw()
    assert b"/x" in raw
    assert secret.encode() not in raw


def test_no_field_can_hold_a_secret() -> None:
    names = {field.name for field in dataclasses.fields(RejectedConnection)}

    forbidden = ("cookie", "token", "query", "secret", "key", "authorization")
    assert not [name for name in names if any(word in name for word in forbidden)]


def test_long_values_are_cut() -> None:
    request = head((b"User-Agent", "é".encode() * 9000), target="/" + "a" * 7000)

    event = line_of(Ended(received_head=request))

    assert len(event["url.path"]) == PATH_CHARACTERS
    assert event["user_agent.original"] == "é" * AGENT_CHARACTERS
    assert len(event["message"]) < PATH_CHARACTERS + 20


def test_what_a_client_may_make_long_is_not_kept() -> None:
    access._request_part.cache_clear()
    line_of(Ended(received_head=odd_head(method="M" * 9000)))
    line_of(Ended(received_head=odd_head(host="h" * 300)))

    assert access._request_part.cache_info().currsize == 0


def test_a_line_has_the_fields_of_the_common_schemas() -> None:
    assert line_of(Ended()) == {
        "@timestamp": "2026-09-21T14:13:20.250000Z",
        "log.level": "info",
        "event.dataset": "gateway.access",
        "message": "GET /dashboard 200",
        "event.duration": 12_500_000,
        "http.request.id": "5f0c8a2e9d4b4c6f8a1e7b3d2c9f0a61",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.bytes": 1234,
        "network.protocol.version": "1.1",
        "url.path": "/dashboard",
        "url.domain": "app.example",
        "url.scheme": "http",
        "client.address": "192.0.2.7",
        "user_agent.original": "Mozilla/5.0",
        "user.id": "u_1",
        "organization.id": "t_acme",
        "trace.id": REQUEST_ID,
        "gateway.route": "web:/**",
        "gateway.upstream": "web",
        "gateway.upstream_duration": 10_000_000,
        "gateway.decision": "allow",
        "gateway.reason": "signed_in",
        "gateway.session.id": "s_1",
    }


def test_what_a_request_did_not_have_is_left_out() -> None:
    event = line_of(
        RejectedConnection(
            now=0.0,
            request_id="x",
            status=400,
            reason=Reason.BAD_REQUEST,
            peer="192.0.2.9",
        )
    )

    assert event["client.address"] == "192.0.2.9"
    absent = {"http.request.method", "url.path", "user.id", "gateway.route", "trace.id"}
    assert not absent & set(event)


def test_a_principal_that_changed_is_shown_as_it_is_now() -> None:
    """Its part of a line is kept with it, and not taken over by a copy."""
    before = Principal(identity_id="u_1", session_id="s_1", tenant_id="t_acme")
    assert line_of(Ended(principal=before))["organization.id"] == "t_acme"

    after = dataclasses.replace(before, tenant_id="t_beta")

    assert line_of(Ended(principal=after))["organization.id"] == "t_beta"
    assert line_of(Ended(principal=before))["organization.id"] == "t_acme"


def test_the_log_level_does_not_silence_requests() -> None:
    """`log.access` decides that, not `log.level`."""
    lines = Lines(level="error")
    write(lines.output, Ended())

    assert len(lines.events()) == 1


def test_a_terminal_shows_what_people_read() -> None:
    lines = Lines(fmt="console")
    write(lines.output, Ended(principal=Principal(identity_id="u_1", session_id="s_1")))

    reported = lines.raw().decode()
    assert "GET /dashboard 200" in reported
    assert "allow/signed_in" in reported
    assert "12.5" in reported
    assert "tenant" not in reported


@given(first=ended_requests, second=ended_requests)
def test_requests_that_share_a_head_have_lines_of_their_own(
    first: Ended, second: Ended
) -> None:
    """What a line shows of the head is kept with it; nothing else is."""
    second.received_head = first.received_head

    for ended in (first, second):
        event = line_of(ended)
        for name in DURATIONS:
            event.pop(name, None)
        assert event == reference_line(ended)
