from collections.abc import Callable

import pytest

from gateway.observe.audit import Audit
from gateway.observe.audit_events import Actor
from gateway.reasons import Reason
from tests.observe.lines import Lines

NOW = 1790000000.0
ACTOR = Actor(
    user_id="u_1",
    tenant_id="t_acme",
    session_id="s_1",
    client="192.0.2.7",
    user_agent="Mozilla/5.0",
    request_id="r_1",
)
SAME = {
    "event.dataset": "gateway.audit",
    "event.kind": "event",
    "user.id": "u_1",
    "organization.id": "t_acme",
    "gateway.session.id": "s_1",
    "client.address": "192.0.2.7",
    "user_agent.original": "Mozilla/5.0",
    "http.request.id": "r_1",
}

EVENTS = [
    pytest.param(
        lambda a: a.sign_in(NOW, ACTOR, methods=("password", "")),
        ("authn_login_success", "authentication", "start", "success"),
        {"gateway.authentication_methods": ["password"]},
        id="sign in",
    ),
    pytest.param(
        lambda a: a.sign_out(NOW, ACTOR, everywhere=True),
        ("session_logout", "session", "end", "success"),
        {"gateway.everywhere": True},
        id="sign out",
    ),
    pytest.param(
        lambda a: a.session_created(NOW, ACTOR),
        ("session_created", "session", "start", "success"),
        {},
        id="created by an administrator",
    ),
    pytest.param(
        lambda a: a.session_revoked(NOW, ACTOR, session_id="s_2", target_user_id="u_2"),
        ("authn_token_revoked", "session", "end", "success"),
        {"gateway.target.session.id": "s_2", "user.target.id": "u_2"},
        id="revoked",
    ),
    pytest.param(
        lambda a: a.session_created(NOW, ACTOR, token_name="ci"),
        ("session_created", "session", "start", "success"),
        {"gateway.token.name": "ci"},
        id="a token",
    ),
    pytest.param(
        lambda a: a.session_revoked(NOW, ACTOR, session_id="s_2", token_name="ci"),
        ("authn_token_revoked", "session", "end", "success"),
        {"gateway.target.session.id": "s_2", "gateway.token.name": "ci"},
        id="a token revoked",
    ),
    pytest.param(
        lambda a: a.denied(NOW, ACTOR, reason=Reason.NOT_ADMIN, route="web:/admin/**"),
        ("authz_fail", "web", "access", "failure"),
        {"gateway.reason": "not_admin", "gateway.route": "web:/admin/**"},
        id="denied",
    ),
    pytest.param(
        lambda a: a.tenant_switched(NOW, ACTOR, to_tenant_id="t_beta"),
        ("gateway.tenant_switch", "session", "info", "success"),
        {"gateway.target.organization.id": "t_beta"},
        id="tenant switch",
    ),
    pytest.param(
        lambda a: a.spoofed_headers(NOW, ACTOR, names=["x-auth-user-id"]),
        ("malicious_extraneous", "intrusion_detection", "denied", "failure"),
        {"gateway.headers": ["x-auth-user-id"]},
        id="spoofed headers",
    ),
    pytest.param(
        lambda a: a.admin_refused(NOW, ACTOR),
        ("authn_login_fail", "authentication", "start", "failure"),
        {},
        id="wrong admin token",
    ),
]


@pytest.mark.parametrize(("send", "words", "extra"), EVENTS)
def test_an_event_names_the_actor_and_the_action(
    send: Callable[..., object],
    words: tuple[str, ...],
    extra: dict[str, bool | list[str] | str],
) -> None:
    lines = Lines(level="error")
    send(Audit(lines.output))

    (event,) = lines.events()
    assert event.pop("@timestamp") == "2026-09-21T14:13:20Z"
    assert event.pop("message")
    assert event.pop("log.level") == ("info" if words[3] == "success" else "warning")
    assert event == SAME | extra | {
        "event.action": words[0],
        "event.category": [words[1]],
        "event.type": [words[2]],
        "event.outcome": words[3],
    }


@pytest.mark.parametrize(("problems", "outcome"), [(0, "success"), (2, "failure")])
def test_a_reload_is_reported_with_its_outcome(problems: int, outcome: str) -> None:
    lines = Lines()
    Audit(lines.output).config_reloaded(NOW, problems=problems)

    (event,) = lines.events()
    assert event["event.action"] == "sys_config_reload"
    assert event["event.outcome"] == outcome
    assert event["gateway.problems"] == problems
    assert "user.id" not in event


def test_long_and_odd_values_stay_one_bounded_line() -> None:
    lines = Lines()
    actor = Actor(user_id="\udc80\n" * 9000, user_agent="x" * 9000)
    Audit(lines.output).spoofed_headers(NOW, actor, names=["y" * 9000] * 100)

    raw = lines.raw()
    assert raw.count(b"\n") == 1
    assert len(raw) < 8192


def test_a_terminal_shows_audit_events_too() -> None:
    lines = Lines(fmt="console")
    Audit(lines.output).sign_in(NOW, ACTOR)

    assert b"authn_login_success" in lines.raw()
