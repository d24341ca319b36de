"""What a record means now, and what a use writes back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reasons import Reason
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    LifetimePolicy,
    authenticate,
    end_of_life,
    touch,
)
from gateway.sessions.record import Corrupt, Session
from tests.sessions.samples import DAY, NOW, a_key, a_session

HOUR = 3600.0
PLAIN = LifetimePolicy(lifespan=DAY)
IDLE = LifetimePolicy(lifespan=DAY, idle_timeout=1800.0)
EXTENDED = LifetimePolicy(lifespan=DAY, extend_within=6 * HOUR)

REFUSALS = [
    pytest.param(Corrupt("x"), 0, IDLE, Reason.SESSION_UNREADABLE, False, id="corrupt"),
    pytest.param(None, 0, IDLE, Reason.UNKNOWN_SESSION, True, id="unknown"),
    pytest.param(
        a_session(active=False),
        9 * DAY,
        IDLE,
        Reason.SESSION_REVOKED,
        True,
        id="revoked",
    ),
    pytest.param(
        a_session(), DAY, IDLE, Reason.SESSION_EXPIRED, True, id="expired-before-idle"
    ),
    pytest.param(
        a_session(), 1800, IDLE, Reason.SESSION_IDLE, True, id="idle-to-the-second"
    ),
    pytest.param(
        a_session(expires_at=NOW + 9 * DAY),
        *(DAY, PLAIN, Reason.SESSION_EXPIRED, True),
        id="never-longer-than-the-lifespan",
    ),
    pytest.param(
        a_session(expires_at=NOW - 1),
        *(0, EXTENDED, Reason.SESSION_EXPIRED, True),
        id="expired-in-the-record",
    ),
]


@pytest.mark.parametrize(("record", "after", "policy", "reason", "ended"), REFUSALS)
def test_what_is_no_valid_session_is_anonymous(
    record: Corrupt | Session | None,
    after: float,
    policy: LifetimePolicy,
    reason: Reason,
    ended: bool,
) -> None:
    judged = authenticate(record, key=a_key(), now=NOW + after, policy=policy)

    assert judged == Anonymous(reason=reason, ended=ended)


@pytest.mark.parametrize(
    ("session", "after", "policy"),
    [
        pytest.param(a_session(), DAY - 1, PLAIN, id="last-second"),
        pytest.param(a_session(), 1799, IDLE, id="not-yet-idle"),
        pytest.param(a_session(), -60, IDLE, id="a-clock-that-is-behind"),
        pytest.param(
            a_session(expires_at=NOW + 9 * DAY), 8 * DAY, EXTENDED, id="extended"
        ),
    ],
)
def test_a_session_in_its_time_is_authenticated(
    session: Session, after: float, policy: LifetimePolicy
) -> None:
    judged = authenticate(session, key=a_key(), now=NOW + after, policy=policy)

    assert judged == Authenticated(session=session, key=a_key())


@pytest.mark.parametrize(
    ("after", "policy", "expires", "seen"),
    [
        pytest.param(59, PLAIN, None, None, id="seen-within-the-minute"),
        pytest.param(60, PLAIN, DAY, 60, id="seen-a-minute-ago"),
        pytest.param(-99, PLAIN, None, None, id="clock-went-back"),
        pytest.param(
            4,
            LifetimePolicy(lifespan=DAY, idle_timeout=50),
            *(None, None),
            id="short-idle-within-a-tenth",
        ),
        pytest.param(
            5, LifetimePolicy(lifespan=DAY, idle_timeout=50), DAY, 5, id="short-idle"
        ),
        pytest.param(DAY - 1, PLAIN, DAY, DAY - 1, id="never-extended"),
        pytest.param(17 * HOUR, EXTENDED, DAY, 17 * HOUR, id="too-early-to-extend"),
        pytest.param(18 * HOUR, EXTENDED, 42 * HOUR, 18 * HOUR, id="extended"),
        pytest.param(
            30,
            LifetimePolicy(lifespan=DAY, extend_within=DAY),
            *(None, None),
            id="extended-by-less-than-a-minute",
        ),
    ],
)
def test_a_use_is_written_back_when_it_changes_something(
    after: float, policy: LifetimePolicy, expires: float | None, seen: float | None
) -> None:
    written = touch(a_session(), NOW + after, policy)

    if seen is None or expires is None:
        assert written is None
    else:
        assert written == a_session(expires_at=NOW + expires, last_seen_at=NOW + seen)
        assert written.version == a_session().version


@given(
    now=st.floats(NOW - DAY, NOW + 9 * DAY),
    idle=st.none() | st.floats(1, DAY),
    within=st.none() | st.floats(1, DAY),
)
def test_a_touch_never_shortens_a_life_and_settles(
    now: float, idle: float | None, within: float | None
) -> None:
    policy = LifetimePolicy(lifespan=DAY, idle_timeout=idle, extend_within=within)
    written = touch(a_session(), now, policy)

    if written is not None:
        assert written.expires_at >= a_session().expires_at
        assert written.last_seen_at >= a_session().last_seen_at
        assert touch(written, now, policy) is None


def test_the_end_of_life_is_what_the_policy_and_the_record_allow() -> None:
    long = replace(a_session(), expires_at=NOW + 9 * DAY)

    assert end_of_life(long, PLAIN) == NOW + DAY
    assert end_of_life(long, EXTENDED) == NOW + 9 * DAY
