"""What the gateway says itself of sessions that others write."""

import pytest

from gateway.sessions.formats.revocation import (
    issued_key,
    not_before_key,
    tombstone_key,
    with_revocation,
)
from gateway.sessions.record import Identity, Session


def session(issued_at: float) -> Session:
    return Session(
        id="k",
        active=True,
        issued_at=issued_at,
        authenticated_at=issued_at,
        expires_at=2_000.0,
        last_seen_at=1_000.0,
        identity=Identity(id="u"),
    )


@pytest.mark.parametrize(
    ("issued_at", "tombstone", "not_before", "issued", "active"),
    [
        pytest.param(500.0, b"1", None, None, False, id="tombstone"),
        pytest.param(500.0, b"", None, None, False, id="an-empty-tombstone"),
        pytest.param(500.0, None, b"501", None, False, id="began-before"),
        pytest.param(500.0, None, b"500", None, True, id="began-then"),
        pytest.param(500.5, None, b"500.25", None, True, id="began-after"),
        pytest.param(500.0, None, b"soon", None, False, id="unreadable"),
        pytest.param(500.0, None, b"-1", None, False, id="negative"),
        pytest.param(500.0, None, b"nan", None, False, id="nan"),
        pytest.param(500.0, None, b"9" * 12, None, False, id="beyond-time"),
        pytest.param(500.0, None, b"9" * 400, None, False, id="endless"),
        pytest.param(0.0, None, b"500", None, False, id="nobody-knows-when"),
        pytest.param(0.0, None, b"500", b"499", False, id="seen-before"),
        pytest.param(0.0, None, b"500", b"501", True, id="seen-after"),
        pytest.param(0.0, None, b"500", b"?", False, id="seen-unreadable"),
        pytest.param(400.0, None, b"500", b"501", False, id="the-record-knows-better"),
        pytest.param(0.0, None, None, None, True, id="nothing-said"),
    ],
)
def test_what_the_gateway_wrote_itself_counts(
    issued_at: float,
    tombstone: bytes | None,
    not_before: bytes | None,
    issued: bytes | None,
    active: bool,
) -> None:
    reported = with_revocation(
        session(issued_at), tombstone=tombstone, not_before=not_before, issued=issued
    )

    assert reported.active is active


@pytest.mark.parametrize(
    ("now", "not_before", "active"),
    [
        pytest.param(439.0, b"400", False, id="of-the-future"),
        pytest.param(440.0, b"400", True, id="a-clock-a-minute-ahead"),
        pytest.param(1.0, None, True, id="nothing-ended"),
        pytest.param(1.0, b"400 k", True, id="spared"),
    ],
)
def test_a_session_of_the_future_is_ended_with_the_others(
    now: float, not_before: bytes | None, active: bool
) -> None:
    reported = with_revocation(
        session(500.0), tombstone=None, not_before=not_before, now=now
    )

    assert reported.active is active


def test_the_gateway_s_keys_hold_no_id_of_a_session() -> None:
    assert tombstone_key("ab") == "gateway:revoked:ab"
    assert issued_key("ab") == "gateway:issued:ab"
    assert not_before_key("a:b/ü") == "gateway:not-before:a%3Ab%2F%C3%BC"
