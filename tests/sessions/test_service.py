"""Sessions as values: made at sign-in, moved to another tenant."""

from typing import Any

import pytest

from gateway.sessions.authenticate import LifetimePolicy
from gateway.sessions.record import Identity, Session
from gateway.sessions.record_json import parse_record, serialise
from gateway.sessions.service import new_session, switch_tenant
from tests.sessions.samples import DAY, NOW, a_session

SAMPLE = a_session()


def made(**changes: Any) -> Session:
    options: dict[str, Any] = {
        "identity": SAMPLE.identity,
        "tenants": SAMPLE.tenants,
        "active_tenant": "t_acme",
        "methods": ["password"],
        "aal": "aal1",
        "persistent": True,
        "device": SAMPLE.devices[0],
        "now": NOW,
        "policy": LifetimePolicy(lifespan=DAY),
        "session_id": SAMPLE.id,
    }
    return new_session(**{**options, **changes})


def test_a_tenant_without_membership_cannot_be_active() -> None:
    with pytest.raises(ValueError, match="not among"):
        made(active_tenant="t_other")
    assert switch_tenant(SAMPLE, "t_other") is None


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"identity": Identity(id="")}, id="no-identity"),
        pytest.param({"identity": Identity(id="a\r\nb")}, id="two-lines"),
        pytest.param({"identity": Identity(id="u", roles=("",))}, id="empty-role"),
        pytest.param({"aal": ""}, id="no-level"),
        pytest.param({"methods": [""]}, id="no-method"),
        pytest.param(
            {"identity": Identity(id="u", traits={"x": "x" * 70_000})}, id="too-large"
        ),
    ],
)
def test_what_would_not_read_back_is_not_made(
    changes: dict[str, Identity | list[str] | str],
) -> None:
    with pytest.raises(ValueError, match=r"."):
        made(**changes)


def test_a_session_begins_now_and_reads_back() -> None:
    session = made()

    assert session == SAMPLE
    assert parse_record(serialise(session)) == session


def test_the_only_tenant_is_active_and_of_several_none() -> None:
    acme = {"t_acme": SAMPLE.tenants["t_acme"]}

    assert made(tenants=acme, active_tenant=None).active_tenant_id == "t_acme"
    assert made(active_tenant=None).active_tenant_id is None
    assert made(tenants={}, active_tenant=None).active_tenant_id is None
    assert made(device=None).devices == ()


def test_switching_moves_the_version_and_nothing_else() -> None:
    switched = switch_tenant(SAMPLE, "t_beta")

    assert switched == a_session(active_tenant_id="t_beta")
    assert switched.version != SAMPLE.version
