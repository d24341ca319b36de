"""What follows from the result of a query: the same with and without a cache."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.external.cache import (
    SETTLED,
    TOO_EARLY,
    TTL_JITTER,
    CacheEntry,
    SessionCache,
)
from gateway.sessions.external.evaluation import (
    Evaluated,
    Premature,
    evaluate_result,
    session_if_unchanged,
)
from gateway.sessions.external.notes import Note
from gateway.sessions.external.query import Query, QueryResult, first_query
from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.credential import Credential, credential_of_id
from gateway.sessions.formats.revocation import (
    issued_key,
    not_before_key,
    tombstone_key,
)
from gateway.sessions.formats.settings import FormatSettings
from gateway.sessions.record import Session
from gateway.sessions.redis.direct import WrongType
from gateway.sessions.redis.endings import Endings
from gateway.sessions.timestamps import CLOCK_LEEWAY

NOW = 1_795_219_200.0
PROFILE = compile_format(
    FormatSettings(
        format="json",
        cookie_name="sid",
        profile={
            "id": "[0-9a-f]{32}",
            "key": "s:{id}",
            "identity": "$.user",
            "created": {"path": "$.created", "unit": "s"},
        },
    )
)


def a_credential(number: int) -> Credential:
    credential = credential_of_id(PROFILE, f"{number:032x}")
    assert credential is not None
    return credential


CREDENTIALS = [a_credential(number) for number in range(2)]


async def write(name: str, note: Note) -> None:
    raise AssertionError


def no_endings() -> Endings[Note]:
    return Endings(write)


KEYS = [credential.key for credential in CREDENTIALS]
VALUES = [
    json.dumps({"user": user, "created": created}).encode()
    for user in ("u", "v")
    for created in (NOW - 100, NOW + CLOCK_LEEWAY + SETTLED / 2)
]
NOTES = [None, b"", b"?", b"%.6f" % (NOW - 200), b"%.6f" % (NOW - 50)]
SPARING = b"%.6f %s" % (NOW - 50, CREDENTIALS[0].key.encode())

moments = st.floats(NOW, NOW + 2 * SETTLED)
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "of": st.sampled_from(CREDENTIALS),
    "now": moments,
    "value": st.sampled_from([*VALUES, b"", b"{}", WrongType()]),
    "pttl": st.sampled_from([-2, -1, 0, 1, 900, 59_000, 60_000, 64_000, 3_600_000]),
    "tombstone": st.sampled_from(NOTES),
    "issued": st.sampled_from(NOTES),
    "u": st.sampled_from([*NOTES, SPARING]),
    "v": st.sampled_from(NOTES),
}
ACTIVE: dict[str, object] = {
    "of": CREDENTIALS[0],
    "now": NOW,
    "value": VALUES[0],
    "pttl": 60_000,
    **dict.fromkeys(("tombstone", "issued", "u", "v")),
}
# Results that are alike, but for their time and perhaps one more field.
change = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: st.fixed_dictionaries({name: FIELDS[name]})
)
one_or_none: st.SearchStrategy[dict[str, object]] = st.one_of(st.just({}), change)
sequences = st.tuples(
    st.lists(change, max_size=2),
    st.lists(st.tuples(one_or_none, moments), min_size=2, max_size=6),
)


def replies_to(query: Query, each: dict[str, object]) -> list[object]:
    """What Redis would return."""
    credential = each["of"]
    assert isinstance(credential, Credential)
    notes = {
        tombstone_key(credential.key): each["tombstone"],
        issued_key(credential.key): each["issued"],
        not_before_key("u"): each["u"],
        not_before_key("v"): each["v"],
    }
    replies: list[object] = []
    for key in query.records:
        assert key == credential.record_key
        replies += [each["value"], each["pttl"]]
    return [*replies, [notes[name] for name in query.notes]]


def evaluated(
    cache: SessionCache, endings: Endings[Note], each: dict[str, object]
) -> Evaluated:
    """Look up as SessionLookups does."""
    credential, now = each["of"], each["now"]
    assert isinstance(credential, Credential)
    assert isinstance(now, float)
    seen = cache.as_read_for(credential)
    query = first_query(credential) if seen is None else seen.query
    replies = replies_to(query, each)
    if seen is not None:
        again = session_if_unchanged(seen, query, replies, now, endings)
        if again is not None:
            return again
    found = QueryResult()
    found.add(query, replies)
    while True:
        step = evaluate_result(credential, found, now, cache=cache, endings=endings)
        if not isinstance(step, Query):
            return step
        found.add(step, replies_to(step, each))


def without_times(step: Evaluated) -> Evaluated:
    if isinstance(step, Premature):
        return replace(step, session=replace(step.session, last_seen_at=0.0), life=0.0)
    if isinstance(step, Session):
        return replace(step, last_seen_at=0.0, expires_at=0.0)
    return step


@given(sequences)
def test_what_was_found_before_changes_no_result_but_its_times_by_seconds(
    drawn: tuple[list[dict[str, object]], list[tuple[dict[str, object], float]]],
) -> None:
    cache, endings = SessionCache(None), no_endings()
    alike = dict(ACTIVE)
    for field in drawn[0]:
        alike |= field
    entries: list[CacheEntry] = []
    for changed, now in drawn[1]:
        each = {**alike, "now": now, **changed}
        warm = evaluated(cache, endings, each)
        cold = evaluated(SessionCache(None), endings, each)
        # Look-ups that began when the session was another one.
        for seen in entries:
            if seen.credential == each["of"]:
                replies = replies_to(seen.query, each)
                again = session_if_unchanged(seen, seen.query, replies, now, endings)
                assert again is None or without_times(again) == without_times(cold)
        entries += [e for e in map(cache.get, KEYS) if e is not None]

        assert without_times(warm) == without_times(cold)
        if isinstance(warm, Session) and isinstance(cold, Session):
            assert 0 <= cold.last_seen_at - warm.last_seen_at < SETTLED
            early, left = cold.expires_at - warm.expires_at, warm.expires_at - now
            assert -TTL_JITTER <= early <= max(0.0, left * TOO_EARLY)
            assert (warm.expires_at > now) == (cold.expires_at > now)


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param((tombstone_key(CREDENTIALS[0].key), b"1 revoked"), id="session"),
        pytest.param((not_before_key("u"), b"%.6f" % NOW), id="all of the identity"),
    ],
)
async def test_an_end_that_redis_does_not_have_yet_counts(
    ended: tuple[str, bytes],
) -> None:
    cache, endings = SessionCache(None), no_endings()
    before = [evaluated(cache, endings, ACTIVE) for _ in range(2)]
    name, value = ended
    endings.receive(name, Note(value, 1000, limit="not-before" in name))
    after = evaluated(cache, endings, ACTIVE)

    assert isinstance(before[0], Session)
    assert before[0].active
    assert before[1] is before[0]
    assert isinstance(after, Session)
    assert not after.active


def test_the_limit_of_an_identity_that_was_not_known_is_queried() -> None:
    """A note that was not queried does not count as one that is not there."""
    cache, endings, credential = SessionCache(None), no_endings(), CREDENTIALS[0]
    query = first_query(credential)
    found = QueryResult()
    found.add(query, replies_to(query, ACTIVE))

    for _ in range(2):
        step = evaluate_result(credential, found, NOW, cache=cache, endings=endings)
        assert isinstance(step, Query)
        assert (step.records, step.notes) == ((), (not_before_key("u"),))


@pytest.mark.parametrize(
    ("pttl", "later", "expected"),
    [
        pytest.param(3_600_000, 59.0, True, id="an hour is left"),
        pytest.param(3_600_000, 60.0, False, id="its last use was a minute ago"),
        pytest.param(60_000, 5.0, True, id="a minute is left"),
        pytest.param(60_000, 6.0, False, id="it would seem to end too early"),
    ],
)
def test_one_object_stands_for_a_session_that_each_use_extends(
    pttl: int, later: float, expected: bool
) -> None:
    """Its tokens end with it: none may have next to nothing left."""
    cache, endings = SessionCache(None), no_endings()
    each = {**ACTIVE, "pttl": pttl}
    evaluated(cache, endings, each)
    first = evaluated(cache, endings, each)

    again = evaluated(cache, endings, {**each, "now": NOW + later})

    assert (again is first) is expected


@pytest.mark.parametrize(
    "replies",
    [
        [],
        [VALUES[0], 60_000],
        [VALUES[0], 60_000, [None] * 3, b""],
        [VALUES[0], b"60000", [None] * 3],
        [VALUES[0], 60_000, None],
        [WrongType(), 60_000, [None] * 3],
        [None, None, None],
    ],
)
def test_replies_of_another_shape_are_not_what_was_found_before(
    replies: list[object],
) -> None:
    """Nothing catches an error here: the request would wait for ever."""
    cache, endings = SessionCache(None), no_endings()
    for _ in range(2):
        evaluated(cache, endings, ACTIVE)
    seen = cache.as_read_for(CREDENTIALS[0])
    assert seen is not None
    right = replies_to(seen.query, ACTIVE)
    assert session_if_unchanged(seen, seen.query, right, NOW, endings) is not None

    assert session_if_unchanged(seen, seen.query, replies, NOW, endings) is None


def test_a_session_that_begins_in_the_future_is_evaluated_each_time() -> None:
    """Two requests may be evaluated in another order than they came in."""
    cache, endings = SessionCache(None), no_endings()
    begins = CLOCK_LEEWAY + SETTLED / 2
    ahead = {**ACTIVE, "value": VALUES[1], "u": b"%.6f" % NOW}
    found = [
        evaluated(cache, endings, {**ahead, "now": NOW + begins - CLOCK_LEEWAY + later})
        for later in (-1.0, 0.5, -0.5)
    ]

    assert isinstance(found[0], Premature)
    assert isinstance(found[1], Session)
    assert isinstance(found[2], Premature)
