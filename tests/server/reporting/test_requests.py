"""What is reported of a request and of an event; read from a real pipe."""

import pytest

from gateway.errors import (
    InvalidUpstreamResponse,
    StoreUnavailable,
)
from gateway.observe.audit_events import (
    AuditEvent,
    IdentityChanged,
    SessionRevoked,
    SessionsRevoked,
    SignedIn,
    SignedOut,
    SignInHeaderRefused,
    TenantSwitched,
    TokenIssued,
)
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.reporting.reporter import Reporter
from gateway.sessions.record import Session
from tests.http.heads import REQUEST_ID
from tests.observe.lines import Lines
from tests.server.parts import loaded
from tests.server.reporting.contexts import TEXT, a_context, counted, reported, unread
from tests.sessions.samples import NOW, a_session


def test_a_request_is_one_line_without_its_query_and_its_key(lines: Lines) -> None:
    context = a_context()

    (line,) = reported(lines, lambda reporter: reporter.requests.request_ended(context))

    assert line["event.dataset"] == "gateway.access"
    assert line["url.path"] == "/admin/x"
    assert line["gateway.decision"] == "allow"
    assert line["gateway.reason"] == "signed_in"
    assert line["gateway.route"] == "admin"
    assert line["gateway.upstream"] == "web"
    assert line["user.id"] == "u_ada"
    assert line["organization.id"] == "t_acme"
    assert line["user_agent.original"] == "Browser/1"
    assert line["trace.id"] == REQUEST_ID
    assert "secret" not in str(line)
    assert "abab" not in str(line)


def test_a_request_that_could_not_be_read_is_a_line_too(lines: Lines) -> None:
    context = unread(status=400)

    (line,) = reported(lines, lambda reporter: reporter.requests.request_ended(context))

    assert (line["gateway.decision"], line["gateway.reason"]) == (
        "refuse",
        "bad_request",
    )
    assert "url.path" not in line


@pytest.mark.parametrize("verdict", Verdict)
def test_every_end_has_its_word(lines: Lines, verdict: Verdict) -> None:
    context = a_context(verdict=verdict, reason=Reason.NOT_SIGNED_IN)

    (line,) = reported(lines, lambda reporter: reporter.requests.request_ended(context))

    assert line["gateway.decision"] == verdict.value


def test_a_request_is_counted_by_route_decision_and_reason(lines: Lines) -> None:
    reporter = Reporter(lines.output)
    reporter.requests.request_started()
    reporter.requests.request_started()

    reporter.requests.request_ended(
        a_context(lookup_result="valid", lookup_time=0.001, upstream_time=0.002)
    )

    text, _ = reporter.process.exposition(TEXT)
    exposition = text.decode()
    assert 'decision="allow"' in exposition
    assert 'reason="signed_in"' in exposition
    assert 'route="admin"' in exposition
    assert counted(reporter, "gateway_requests_in_flight 1.0")
    lines.raw()


def test_without_an_access_log_a_request_is_still_counted(lines: Lines) -> None:
    reporter = Reporter(lines.output)
    reporter.configure(loaded(log={"access": False}).config)

    reporter.requests.request_ended(a_context())
    reporter.requests.connection_rejected(
        408, Reason.REQUEST_TIMEOUT, "r_2", NOW, "192.0.2.9"
    )

    text, _ = reporter.process.exposition(TEXT)
    assert 'reason="signed_in"' in text.decode()
    assert 'reason="request_timeout"' in text.decode()
    assert lines.raw() == b""


@pytest.mark.parametrize(
    ("verdict", "reason", "audited"),
    [
        (Verdict.DENY, Reason.NOT_ADMIN, True),
        (Verdict.DENY, Reason.NOT_A_MEMBER, True),
        (Verdict.DENY, Reason.TENANT_CONFLICT, True),
        (Verdict.DENY, Reason.CROSS_SITE, True),
        (Verdict.DENY, Reason.ALREADY_SIGNED_IN, False),
        (Verdict.CHALLENGE, Reason.NO_SESSION, False),
        (Verdict.ALLOW, Reason.SIGNED_IN, False),
    ],
)
def test_a_denial_that_someone_may_ask_about_is_audited(
    lines: Lines, verdict: Verdict, reason: Reason, audited: bool
) -> None:
    context = a_context(verdict=verdict, reason=reason, status=403)

    events = reported(lines, lambda reporter: reporter.requests.request_ended(context))

    audits = [one for one in events if one["event.dataset"] == "gateway.audit"]
    assert [one["event.action"] for one in audits] == ["authz_fail"] * audited
    assert [one["gateway.reason"] for one in audits] == [reason] * audited


def test_a_connection_without_a_valid_request_is_a_line(lines: Lines) -> None:
    (line,) = reported(
        lines,
        lambda reporter: reporter.requests.connection_rejected(
            408, Reason.REQUEST_TIMEOUT, "r_2", NOW, "192.0.2.9"
        ),
    )

    assert line["http.response.status_code"] == 408
    assert line["gateway.reason"] == "request_timeout"
    assert line["http.request.id"] == "r_2"
    assert line["client.address"] == "192.0.2.9"


def test_a_failure_with_a_name_is_a_warning(lines: Lines) -> None:
    context = a_context(reason=Reason.UPSTREAM_BAD_ANSWER)

    (line,) = reported(
        lines,
        lambda reporter: reporter.requests.request_failed(
            context, InvalidUpstreamResponse("two lengths")
        ),
    )

    assert line["log.level"] == "warning"
    assert line["reason"] == "upstream_bad_answer"
    assert line["error"] == "InvalidUpstreamResponse: two lengths"
    assert line["request_id"] == "r_1"


def test_a_failure_of_the_store_is_counted_by_its_cause(lines: Lines) -> None:
    reporter = Reporter(lines.output)
    error = StoreUnavailable("no answer")
    error.__cause__ = TimeoutError()

    reporter.requests.request_failed(a_context(), error)

    assert counted(reporter, 'gateway_store_errors_total{kind="timeout"} 1.0')
    assert counted(reporter, 'gateway_store_errors_total{kind="other"} 0.0')
    lines.raw()


@pytest.mark.parametrize("context", [a_context(), None], ids=["with", "without"])
def test_an_unexpected_exception_is_logged_with_its_place(
    lines: Lines, context: RequestContext | None
) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0

    (line,) = reported(
        lines,
        lambda reporter: reporter.requests.log_unhandled_exception(
            caught.value, context
        ),
    )

    assert line["log.level"] == "error"
    assert "ZeroDivisionError" in str(line)
    assert "test_requests" in str(line)


@pytest.mark.parametrize(
    ("event", "action", "extra"),
    [
        pytest.param(
            SignedIn(methods=("password", "totp")), "authn_login_success",
            {"gateway.authentication_methods": ["password", "totp"]}, id="sign in",
        ),
        pytest.param(SignedOut(everywhere=False), "session_logout", {"gateway.everywhere": False}, id="sign out"),
        pytest.param(SignedOut(everywhere=True), "session_logout", {"gateway.everywhere": True}, id="everywhere"),
        pytest.param(
            TenantSwitched(before="t_old", after="t_new"), "gateway.tenant_switch",
            {"organization.id": "t_old", "gateway.target.organization.id": "t_new"}, id="another tenant",
        ),
        pytest.param(
            SignInHeaderRefused(upstream="api"), "malicious_extraneous",
            {"gateway.upstream": "api"}, id="a sign-in from an upstream that may not",
        ),
        pytest.param(
            SessionRevoked(session_id="s_2"), "authn_token_revoked",
            {"gateway.target.session.id": "s_2", "user.target.id": "u_ada"}, id="another session",
        ),
        pytest.param(
            SessionsRevoked(count=3), "authn_token_revoked", {"gateway.count": 3}, id="all other sessions",
        ),
        pytest.param(
            IdentityChanged(members=("roles",), count=2), "user_updated",
            {"gateway.count": 2, "gateway.changed": ["roles"], "user.target.id": "u_ada"}, id="roles everywhere",
        ),
        pytest.param(
            TokenIssued(profile="page"), "authn_token_created", {"gateway.token_profile": "page"}, id="a token for a page",
        ),
    ],
)  # fmt: skip
def test_an_event_is_audited_with_who_did_it(
    lines: Lines, event: AuditEvent, action: str, extra: dict[str, object]
) -> None:
    (line,) = reported(
        lines, lambda reporter: reporter.requests.audit(event, a_context())
    )

    assert line["event.dataset"] == "gateway.audit"
    assert line["event.action"] == action
    assert line["user.id"] == "u_ada"
    assert line["gateway.session.id"] == "s_1"
    assert line["client.address"] == "192.0.2.7"
    assert line["http.request.id"] == "r_1"
    assert line | extra == line


def test_a_first_tenant_was_chosen_for_none(lines: Lines) -> None:
    event = TenantSwitched(before="", after="t_new")

    (line,) = reported(
        lines, lambda reporter: reporter.requests.audit(event, a_context())
    )

    assert "organization.id" not in line
    assert line["gateway.target.organization.id"] == "t_new"


def test_an_event_without_an_identity_is_audited_too(lines: Lines) -> None:
    context = unread()

    (line,) = reported(
        lines,
        lambda reporter: reporter.requests.audit(SignedOut(everywhere=False), context),
    )

    assert "user.id" not in line
    assert "client.address" not in line


@pytest.mark.parametrize(
    ("event", "action"),
    [("created", "session_created"), ("revoked", "authn_token_revoked")],
)
def test_what_the_admin_api_does_is_audited(
    lines: Lines, event: str, action: str
) -> None:
    session: Session = a_session()

    (line,) = reported(
        lines, lambda reporter: reporter.requests.admin_action(event, session)
    )

    assert line["event.action"] == action
    assert session.identity.id in line.values()


def test_open_connections_and_websockets_are_counted(lines: Lines) -> None:
    reporter = Reporter(lines.output)

    reporter.process.connections(5)
    reporter.requests.stream_opened("websocket")
    reporter.requests.stream_opened("websocket")
    reporter.requests.stream_opened("stream")
    reporter.requests.stream_closed("stream")
    reporter.requests.stream_closed("websocket")

    assert counted(reporter, "gateway_connections_open 5.0")
    assert counted(reporter, "gateway_websockets_open 1.0")
    lines.raw()


def test_tokens_are_counted_by_profile(lines: Lines) -> None:
    reporter = Reporter(lines.output)

    reporter.requests.token_used("database", signed=True)
    reporter.requests.token_used("database", signed=False)

    text, _ = reporter.process.exposition(TEXT)
    assert 'profile="database"' in text.decode()
    lines.raw()
