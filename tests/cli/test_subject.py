"""Whom `--as` means; a session out of a real store is asked in test_explain."""

import pytest
from click import ClickException

from gateway.build.session_format import format_from
from gateway.cli.subject import Subject
from gateway.errors import GatewayError
from gateway.reasons import Reason
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.cookie import SessionToken
from gateway.sessions.record import Session
from tests.config.parsed import load, whole
from tests.sessions.samples import NOW

FOREIGN = "sessions: {format: lucia}"


def subject(who: str, *lines: str) -> Subject:
    loaded = load(whole(*lines))
    return Subject(loaded, format_from(loaded), who, NOW)


def test_anonymous_has_no_credential_and_the_others_have_one() -> None:
    assert subject("anonymous").credential() == Anonymous(reason=Reason.NO_SESSION)
    for who in ("admin", "member", "5b1e-id"):
        assert isinstance(subject(who).credential(), SessionToken)


def test_a_server_that_only_the_gateway_knows_cannot_be_asked() -> None:
    who = subject("5b1e-id", "redis: {url: embedded}")

    with pytest.raises(ClickException, match="embedded; add --redis with the address"):
        who.record()


def test_the_id_of_an_apps_session_is_not_repeated() -> None:
    secret = "s3cr3t-session-id"

    assert secret not in subject(secret, FOREIGN).name
    assert subject(secret, FOREIGN).name.startswith("session ")


@pytest.mark.parametrize("who", ["admin", "member", "anonymous"])
@pytest.mark.parametrize("lines", [(), (FOREIGN,)])
def test_examples_go_by_their_names(who: str, lines: tuple[str, ...]) -> None:
    assert subject(who, *lines).name == who


@pytest.mark.parametrize(
    ("who", "roles"), [("admin", ("boss",)), ("member", ("member",))]
)
def test_an_example_has_the_role_of_its_name(who: str, roles: tuple[str, ...]) -> None:
    found = subject(who, "roles: {admin: [boss, chief]}").record()

    assert isinstance(found, Session)
    assert found.identity.roles == roles
    assert found.active_tenant_id in found.tenants


def test_a_session_token_given_by_mistake_is_not_printed() -> None:
    token = "A" * 43

    assert token not in subject(token).name


def test_a_redis_that_is_away_is_named() -> None:
    who = subject("5b1e-id", 'redis: {url: "redis://127.0.0.1:1/0"}')

    with pytest.raises(GatewayError, match=r"^Redis at redis:.* is unavailable"):
        who.record()
