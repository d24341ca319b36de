import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.access import (
    AGENT_CHARACTERS,
    PATH_CHARACTERS,
    AccessLog,
    AccessRecord,
)
from gateway.reasons import Reason, Verdict
from tests.observe.lines import Lines


def record(**changes: Any) -> AccessRecord:
    base = AccessRecord(
        started_at=1790000000.25,
        duration=0.0125,
        request_id="5f0c8a2e9d4b4c6f8a1e7b3d2c9f0a61",
        status=200,
        verdict=Verdict.ALLOW,
        reason=Reason.SIGNED_IN,
        method="GET",
        path="/dashboard",
        host="app.example.com",
        scheme="https",
        client="192.0.2.7",
        user_agent="Mozilla/5.0",
        body_bytes=1234,
        route="web:/dashboard/**",
        upstream="web",
        upstream_duration=0.01,
        user_id="u_1",
        tenant_id="t_acme",
        session_id="s_1",
        trace_id="a" * 32,
    )
    return dataclasses.replace(base, **changes)


def test_no_field_can_hold_a_secret() -> None:
    names = {field.name for field in dataclasses.fields(AccessRecord)}

    forbidden = ("cookie", "token", "query", "secret", "header", "authorization")
    assert not [name for name in names if any(word in name for word in forbidden)]


@given(
    method=st.text(st.characters(exclude_categories=()), max_size=20),
    path=st.text(st.characters(exclude_categories=()), max_size=20),
    agent=st.text(st.characters(exclude_categories=()), max_size=20),
    user=st.text(st.characters(exclude_categories=()), max_size=20),
)
@pytest.mark.parametrize("fmt", ["json", "console"])
def test_whatever_a_client_sends_is_one_line(
    fmt: str, method: str, path: str, agent: str, user: str
) -> None:
    lines = Lines(fmt=fmt)
    log = AccessLog(lines.output)
    log.write(record(method=method, path=path, user_agent=agent, user_id=user))

    raw = lines.raw()
    assert raw.count(b"\n") == 1
    assert raw.endswith(b"\n")
    assert fmt == "json" or b"\r" not in raw


def test_long_values_are_cut() -> None:
    lines = Lines()
    AccessLog(lines.output).write(record(path="/" + "a" * 9000, user_agent="b" * 9000))

    (event,) = lines.events()
    assert len(event["url.path"]) == PATH_CHARACTERS
    assert len(event["user_agent.original"]) == AGENT_CHARACTERS
    assert len(event["message"]) < PATH_CHARACTERS + 20


def test_a_line_has_the_fields_of_the_common_schemas() -> None:
    lines = Lines()
    AccessLog(lines.output).write(record())

    (event,) = lines.events()
    assert event == {
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
        "url.domain": "app.example.com",
        "url.scheme": "https",
        "client.address": "192.0.2.7",
        "user_agent.original": "Mozilla/5.0",
        "user.id": "u_1",
        "organization.id": "t_acme",
        "trace.id": "a" * 32,
        "gateway.route": "web:/dashboard/**",
        "gateway.upstream": "web",
        "gateway.upstream_duration": 10_000_000,
        "gateway.decision": "allow",
        "gateway.reason": "signed_in",
        "gateway.session.id": "s_1",
    }


def test_what_a_request_did_not_have_is_left_out() -> None:
    lines = Lines()
    AccessLog(lines.output).write(
        AccessRecord(
            started_at=0.0,
            duration=0.0,
            request_id="x",
            status=400,
            verdict=Verdict.REFUSE,
            reason=Reason.BAD_REQUEST,
            error="no request line",
        )
    )

    (event,) = lines.events()
    assert event["error.message"] == "no request line"
    absent = {"http.request.method", "url.path", "user.id", "gateway.route", "trace.id"}
    assert not absent & set(event)


def test_the_log_level_does_not_silence_requests() -> None:
    """`log.access` decides that, not `log.level`."""
    lines = Lines(level="error")
    AccessLog(lines.output).write(record())

    assert len(lines.events()) == 1


def test_a_terminal_shows_what_people_read() -> None:
    lines = Lines(fmt="console")
    AccessLog(lines.output).write(record(tenant_id=""))

    told = lines.raw().decode()
    assert "GET /dashboard 200" in told
    assert "allow/signed_in" in told
    assert "12.5" in told
    assert "tenant" not in told
