"""Whom `--as` means; a session out of a real store is asked in test_explain."""

import pytest

from gateway.cli.asker import Asker
from gateway.errors import GatewayError
from gateway.reasons import Reason
from gateway.sessions.authenticate import Anonymous, Authenticated
from gateway.sessions.formats.from_config import format_from
from tests.config.told import load, whole
from tests.sessions.samples import NOW

FOREIGN = "sessions: {format: lucia}"


def asker(who: str, *lines: str) -> Asker:
    loaded = load(whole(*lines))
    return Asker(loaded, format_from(loaded), who, NOW)


@pytest.mark.parametrize("who", ["admin", "member", "anonymous", "5b1e-id"])
def test_where_sessions_are_ignored_everybody_is_nobody(who: str) -> None:
    found = asker(who).authenticate(ignored=True)

    assert found == Anonymous(reason=Reason.NO_SESSION)


def test_a_server_that_only_the_gateway_knows_cannot_be_asked() -> None:
    who = asker("5b1e-id", "redis: {url: embedded}")

    with pytest.raises(GatewayError, match="only the running gateway can ask it"):
        who.authenticate(ignored=False)


def test_the_id_of_an_apps_session_is_not_said_again() -> None:
    secret = "s3cr3t-session-id"

    assert secret not in asker(secret, FOREIGN).name
    assert asker(secret, FOREIGN).name.startswith("session ")


@pytest.mark.parametrize("who", ["admin", "member", "anonymous"])
@pytest.mark.parametrize("lines", [(), (FOREIGN,)])
def test_examples_go_by_their_names(who: str, lines: tuple[str, ...]) -> None:
    assert asker(who, *lines).name == who


@pytest.mark.parametrize(
    ("who", "roles"), [("admin", ("boss",)), ("member", ("member",))]
)
def test_an_example_has_the_role_of_its_name(who: str, roles: tuple[str, ...]) -> None:
    found = asker(who, "roles: {admin: [boss, chief]}").authenticate(ignored=False)

    assert isinstance(found, Authenticated)
    assert found.session.identity.roles == roles
    assert found.session.active_tenant_id in found.session.tenants
