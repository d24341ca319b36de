"""What a stored value means: hostile rows first."""

import base64
import json
import pickle
import tracemalloc
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.credential import Credential, read_credential
from gateway.sessions.formats.engine import (
    NeedsLookup,
    Stored,
    interpret_record,
    read_session,
)
from gateway.sessions.formats.profile import Profile
from gateway.sessions.formats.settings import FormatSettings
from gateway.sessions.record import AnonymousSession, Corrupt, Device, Session
from gateway.sessions.record_json import serialise
from tests.sessions.formats.judging import NOW, SECRET, SID, compiled, interpreted, read
from tests.sessions.formats.scenarios import SCENARIOS, Redis, Scenario, ask

SCENARIO = {scenario.id: scenario for scenario in SCENARIOS}


# Nobody is signed in where the library's mark is not there.

FLASK_BAG = {"_permanent": True, "email": "alice@example.com", "roles": ["admin"]}


@pytest.mark.parametrize(
    ("name", "sid", "value"),
    [
        pytest.param("flask-session", "x" * 43, FLASK_BAG, id="flask-login-logged-out"),
        pytest.param(
            "flask-session", "x" * 43, msgpack.packb(FLASK_BAG), id="as-msgpack"
        ),
        pytest.param(
            "flask-session",
            "x" * 43,
            base64.b64decode(
                "iKpfcGVybWFuZW50w6VlbWFpbLFhbGljZUBleGFtcGxlLmNvbaVyb2xlc5KmZWRpdG9y"
                "p2JpbGxpbmemb3JnX2lkpW9yZy05qGxvZ2luX2F0y0HawDfAIAAAoW79o21mYcOnbm90"
                "aGluZ8A="
            ),
            id="flask-login-logged-out-as-the-library-wrote-it",
        ),
        pytest.param("flask-session", "x" * 43, b"\x80", id="flask-empty"),
        pytest.param(
            "aiohttp-session",
            SID,
            {"created": 1, "session": {"email": "alice@example.com", "role": "admin"}},
            id="aiohttp-security-forget",
        ),
        pytest.param("aiohttp-session", SID, {}, id="aiohttp-session-invalidate"),
        pytest.param("django", SID, {"cart": [1], "email": "a@b.c"}, id="django-cart"),
        pytest.param("starsessions", SID, {"cart": [1]}, id="starsessions-cart"),
        pytest.param(
            "starsessions",
            SID,
            {"user": None, "user_id": 7},
            id="starsessions-user-null",
        ),
    ],
)
def test_a_key_is_not_a_login(
    name: str, sid: str, value: bytes | dict[str, object]
) -> None:
    profile = compile_format(FormatSettings(format=name, cookie_name="sid"))
    credential = read_credential(profile, [b"sid=" + sid.encode()])
    assert isinstance(credential, Credential)
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()

    reported = interpret_record(
        profile, credential, Stored(value=raw, pttl=60_000), NOW
    )

    assert reported == AnonymousSession()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"cookie": {}, "views": 1}, id="anonymous"),
        pytest.param({"cookie": {}}, id="regenerated-by-logout"),
        pytest.param(
            {"cookie": {}, "passport": {}, "user": {"id": "u-1"}},
            id="logged-out-by-an-old-passport",
        ),
        pytest.param({"passport": {"user": ""}}, id="empty-user"),
        pytest.param({"passport": {"user": None}}, id="null-user"),
    ],
)
def test_express_sessions_without_a_user(
    value: dict[str, dict[str, str | None] | int],
) -> None:
    profile = compiled("express-session", secrets=SECRET)
    credential = Credential(
        value=SID, key="k", record_key="sess:" + SID, profile=profile
    )

    reported = read_session(profile, credential, json.dumps(value).encode())

    assert reported == AnonymousSession()


@pytest.mark.parametrize(
    ("value", "identity", "roles"),
    [
        pytest.param({"passport": {"user": 42}}, "42", (), id="passport-number"),
        pytest.param(
            {"passport": {"user": {"id": "u", "role": "admin"}}},
            "u",
            ("admin",),
            id="passport-object",
        ),
        pytest.param(
            {"user": {"id": "u", "roles": ["a", "b"]}}, "u", ("a", "b"), id="own"
        ),
    ],
)
def test_express_sessions_of_a_user(
    value: dict[str, dict[str, dict[str, str] | int | list[str] | str]],
    identity: str,
    roles: tuple[str, ...],
) -> None:
    profile = compiled("express-session", secrets=SECRET)
    credential = Credential(
        value=SID, key="k", record_key="sess:" + SID, profile=profile
    )

    reported = read_session(profile, credential, json.dumps(value).encode())

    assert isinstance(reported, Session)
    assert (reported.identity.id, reported.identity.roles) == (identity, roles)


# Values that are not what they should be.


@pytest.mark.parametrize(
    ("value", "profile", "why"),
    [
        pytest.param(b"\xac\xed\x00\x05", {}, "Java", id="java"),
        pytest.param(b"{" + b" " * 70_000 + b"}", {}, "larger", id="large"),
        pytest.param({"id": True}, {}, "neither text", id="true-is-nobody"),
        pytest.param({"id": {"a": 1}}, {}, "neither text", id="an-object-is-nobody"),
        pytest.param({"id": 1.5}, {}, "neither text", id="a-fraction-is-nobody"),
        pytest.param(b'{"id": 1' + b"0" * 30 + b"}", {}, "neither", id="endless-id"),
        pytest.param({"id": "a\nb"}, {}, "control", id="line-end"),
        pytest.param({"id": "x" * 300}, {}, "too long", id="long"),
        pytest.param({"id": "u"}, {"echo": "$.sid"}, "stored under", id="no-echo"),
        pytest.param(
            {"id": "u", "sid": "f" * 32}, {"echo": "$.sid"}, "stored under", id="echo"
        ),
        pytest.param(
            {"id": "u", "roles": {"admin": True}},
            {"roles": "$.roles"},
            "neither a list",
            id="roles-mapping",
        ),
        pytest.param(
            {"id": "u", "roles": [["admin"]]},
            {"roles": "$.roles"},
            "neither text",
            id="roles-nested",
        ),
        pytest.param(
            {"id": "u", "roles": ["r"] * 257},
            {"roles": "$.roles"},
            "more than",
            id="roles-many",
        ),
        pytest.param(
            {"id": "u", "m": "acme"}, {"tenants": "$.m"}, "neither", id="tenants-text"
        ),
        pytest.param(
            {"id": "u", "m": ["acme"]}, {"tenants": "$.m"}, "entry", id="tenants-texts"
        ),
        pytest.param(
            {"id": "u", "m": [{"id": 1}, {"id": "1"}]},
            {"tenants": "$.m"},
            "two entries",
            id="tenants-twice",
        ),
        pytest.param(
            {"id": "u", "m": [{"name": "x"}]}, {"tenants": "$.m"}, "entry", id="no-id"
        ),
        pytest.param(
            {"id": "u", "m": [{"id": n} for n in range(1025)]},
            {"tenants": "$.m"},
            "more than",
            id="tenants-many",
        ),
        pytest.param(
            {"id": "u"},
            {"expires": {"path": "$.exp", "unit": "s"}},
            "not a time",
            id="no-expiry",
        ),
        pytest.param(
            {"id": "u", "exp": "2026-11-20"},
            {"expires": {"path": "$.exp", "unit": "iso"}},
            "not a time",
            id="a-date",
        ),
        pytest.param(
            {"id": "u", "exp": True},
            {"expires": {"path": "$.exp", "unit": "s"}},
            "not a time",
            id="expires-true",
        ),
        pytest.param(
            {"id": "u", "exp": 1e300},
            {"expires": {"path": "$.exp", "unit": "ms"}},
            "not a time",
            id="expires-never",
        ),
        pytest.param(
            {"id": "u", "exp": -1},
            {"expires": {"path": "$.exp", "unit": "s"}},
            "not a time",
            id="expires-before-1970",
        ),
    ],
)
def test_a_value_that_is_no_session_is_corrupt_and_states_the_reason(
    value: Any,
    profile: dict[str, Any],
    why: str,
) -> None:
    reported = read(value, **profile)

    assert isinstance(reported, Corrupt)
    assert why in reported.why


def test_a_key_of_another_type_is_corrupt() -> None:
    profile = compiled()
    credential = read_credential(profile, [b"sid=" + SID.encode()])
    assert isinstance(credential, Credential)

    reported = interpret_record(
        profile, credential, Stored(value=None, wrong_type=True), NOW
    )

    assert isinstance(reported, Corrupt)


def test_a_key_without_ttl_needs_to_be_allowed() -> None:
    assert isinstance(read({"id": "u"}, pttl=-1), Corrupt)

    allowed = read({"id": "u"}, pttl=-1, allow_no_ttl=True)

    assert isinstance(allowed, Session)
    assert allowed.expires_at > NOW + 10**9


def test_no_key_is_no_session() -> None:
    profile = compiled()
    credential = read_credential(profile, [b"sid=" + SID.encode()])
    assert isinstance(credential, Credential)

    assert interpret_record(profile, credential, Stored(value=None), NOW) is None
    # It went between GET and PTTL.
    assert (
        interpret_record(profile, credential, Stored(value=b"{}", pttl=-2), NOW) is None
    )


# What is read.


def test_the_earlier_of_ttl_and_record_ends_a_session() -> None:
    rule: dict[str, Any] = {"expires": {"path": "$.exp", "unit": "s"}}

    by_key = read({"id": "u", "exp": NOW + 100}, pttl=5_000, **rule)
    by_record = read({"id": "u", "exp": NOW + 3}, pttl=5_000, **rule)

    assert isinstance(by_key, Session)
    assert isinstance(by_record, Session)
    assert by_key.expires_at == NOW + 5
    assert by_record.expires_at == NOW + 3


def test_a_life_may_count_from_a_time_in_the_record() -> None:
    rule: dict[str, Any] = {"expires": {"path": "$.created", "unit": "ms", "plus": 60}}

    reported = read({"id": "u", "created": (NOW - 90) * 1000}, **rule)

    assert isinstance(reported, Session)
    assert reported.expires_at == NOW - 30  # over, and `authenticate` says so


def test_a_stale_date_in_the_record_does_not_end_an_express_session() -> None:
    profile = compiled("express-session", secrets=SECRET)
    value = {
        "cookie": {"expires": "2020-01-01T00:00:00Z"},
        "passport": {"user": "u-42"},
    }
    credential = Credential(
        value=SID, key="k", record_key="sess:" + SID, profile=profile
    )
    stored = Stored(value=json.dumps(value).encode(), pttl=60_000)

    reported = interpret_record(profile, credential, stored, NOW)

    assert isinstance(reported, Session)
    assert reported.expires_at == NOW + 60


@pytest.mark.parametrize("banned", [True, 1, "yes", [0], {"a": 1}])
def test_who_is_denied_has_an_inactive_session(
    banned: dict[str, int] | int | list[int] | str,
) -> None:
    reported = read({"id": "u", "banned": banned}, deny=["$.banned"])

    assert isinstance(reported, Session)
    assert not reported.active


@pytest.mark.parametrize("banned", [False, None, 0, ""])
def test_who_is_not_denied_is_let_through(banned: int | str | None) -> None:
    reported = read({"id": "u", "banned": banned}, deny=["$.banned", "$.locked"])

    assert isinstance(reported, Session)
    assert reported.active


def test_a_banned_user_of_better_auth_is_out() -> None:
    scenario = SCENARIO["better_auth/default"]
    key = scenario.expected["session_key"]
    row = scenario.redis.ask(key)
    assert row.value is not None
    banned = row.value.replace(b'"banned":false', b'"banned":true')

    reported = ask(
        scenario.profile,
        [scenario.cookie],
        Redis({key: Stored(value=banned, pttl=row.pttl)}),
        scenario.now,
    )

    assert isinstance(reported, Session)
    assert not reported.active


def test_another_session_s_record_does_not_count() -> None:
    """A value copied under a key that a client can name."""
    scenario = SCENARIO["better_auth/default"]
    key = scenario.expected["session_key"]
    other = next(
        stored
        for name, stored in scenario.redis.keys.items()
        if name != key and "active-sessions" not in name
    )

    reported = ask(
        scenario.profile, [scenario.cookie], Redis({key: other}), scenario.now
    )

    assert isinstance(reported, Corrupt)


def test_all_that_better_auth_stores_is_read_and_no_more() -> None:
    scenario = SCENARIO["better_auth/default"]

    reported = ask(scenario.profile, [scenario.cookie], scenario.redis, scenario.now)

    assert isinstance(reported, Session)
    assert reported.identity.traits == {
        "email": "alice@example.com",
        "name": "Alice Ünïcode",
    }
    assert reported.identity.roles == ("user", "editor")
    assert reported.devices == (
        Device(ip_address="203.0.113.9", user_agent="FixtureBrowser/1.0"),
    )
    assert reported.issued_at == reported.authenticated_at == 1795219113.939
    assert b"not-for-clients" not in serialise(reported)


def test_a_lone_surrogate_in_a_pickle_is_no_identity() -> None:
    profile = compile_format(
        FormatSettings(format="django", cookie_name="sid", allow_pickle=True)
    )
    raw = b"\x80\x04}\x8c\x0d_auth_user_id\x8c\x03\xed\xa0\x80s."

    assert isinstance(interpreted(profile, raw), Corrupt)


def test_a_pickle_that_stands_for_eight_million_leaves_is_read_at_once() -> None:
    profile = compile_format(
        FormatSettings(format="django", cookie_name="sid", allow_pickle=True)
    )
    value: list[Any] = [1]
    for _ in range(23):
        value = [value, value]
    raw = pickle.dumps({"_auth_user_id": "1", "x": value}, 4)

    tracemalloc.start()
    reported = interpreted(profile, raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(reported, Session)
    assert len(raw) < 500
    assert peak < 1024 * 1024


# The second look-up.


def test_authjs_asks_for_the_user_and_believes_only_the_right_one() -> None:
    scenario = SCENARIO["authjs_upstash/base_prefix"]
    profile, now = scenario.profile, scenario.now
    credential = read_credential(profile, [scenario.cookie])
    assert isinstance(credential, Credential)
    stored = scenario.redis.ask(credential.record_key)
    wanted = interpret_record(profile, credential, stored, now)
    other = json.dumps({"id": "somebody-else", "role": "admin"}).encode()

    assert isinstance(wanted, NeedsLookup)
    assert wanted.key == scenario.expected["user_key"]
    assert wanted.identity_id == scenario.expected["user_id"]
    for answer, judgement in (
        (scenario.redis.ask(wanted.key), Session),
        (Stored(value=None), type(None)),
        (Stored(value=other, pttl=-1), Corrupt),
        (Stored(value=b"text", pttl=-1), Corrupt),
        (Stored(value=None, wrong_type=True), Corrupt),
    ):
        assert isinstance(
            interpret_record(profile, credential, stored, now, answer), judgement
        )


@pytest.mark.parametrize(
    ("user_id", "judgement"),
    [
        pytest.param("session:x", Corrupt, id="names-another-kind"),
        pytest.param("", AnonymousSession, id="empty"),
        pytest.param(None, AnonymousSession, id="null"),
        pytest.param(["u"], Corrupt, id="a-list"),
    ],
)
def test_the_second_key_is_made_of_an_id_only(
    user_id: list[str] | str | None, judgement: type[Corrupt | AnonymousSession]
) -> None:
    profile = compiled(then={"key": "user:{$.userId}"}, identity="$then.id")

    assert isinstance(interpreted(profile, {"userId": user_id}), judgement)


def test_memberships_may_be_kept_in_a_second_record() -> None:
    profile = compiled(
        then={"key": "memberships:{$.id}", "required": False},
        tenants="$then.tenants",
        active_tenant="$.org",
    )
    value = {"id": "u", "org": "t_1"}
    members = json.dumps({"tenants": {"t_1": {"role": "owner"}}}).encode()

    member = interpreted(profile, value, then=Stored(value=members, pttl=-1))
    removed = interpreted(profile, value, then=Stored(value=None))

    assert isinstance(member, Session)
    assert member.tenants["t_1"].role == "owner"
    assert isinstance(removed, Session)
    assert removed.tenants == {}


# Whatever the bytes, a value.


def _kinds() -> list[Profile]:
    every = [
        compile_format(
            FormatSettings(
                format=name, secrets=SECRET, cookie_name="sid", allow_pickle=pickled
            )
        )
        for name, pickled in (
            ("better-auth", False),
            ("express-session", False),
            ("flask-session", True),
            ("django", True),
            ("starsessions", False),
            ("aiohttp-session", False),
            ("authjs", False),
            ("lucia", False),
        )
    ]
    return [*every, compiled(roles="$.roles", tenants="$.tenants", deny=["$.x"])]


KINDS = _kinds()
CREDENTIAL = Credential(
    value=SID, key="f" * 64, record_key="s:" + SID, profile=KINDS[0]
)


@given(
    raw=st.binary(max_size=300),
    then=st.none() | st.binary(max_size=100),
    pttl=st.integers(-2, 2**62),
)
def test_any_bytes_give_a_judgement(raw: bytes, then: bytes | None, pttl: int) -> None:
    for profile in KINDS:
        second = None if then is None else Stored(value=then, pttl=-1)
        reported = interpret_record(
            profile, CREDENTIAL, Stored(value=raw, pttl=pttl), NOW, second
        )
        assert reported is None or isinstance(
            reported, Session | Corrupt | AnonymousSession | NeedsLookup
        )


@given(
    scenario=st.sampled_from(SCENARIOS),
    at=st.integers(0, 2000),
    other=st.binary(max_size=4),
)
def test_any_change_of_a_genuine_value_gives_a_judgement(
    scenario: Scenario, at: int, other: bytes
) -> None:
    profile, cookie, redis, now = _GENUINE[scenario.id]
    credential = read_credential(profile, [cookie])
    assert isinstance(credential, Credential)
    stored = redis.ask(credential.record_key)
    assert stored.value is not None
    at %= len(stored.value)
    changed = stored.value[:at] + other + stored.value[at + len(other) :]
    keys = dict(redis.keys)
    keys[credential.record_key] = Stored(value=changed, pttl=stored.pttl)

    reported = ask(profile, [cookie], Redis(keys), now)

    if isinstance(reported, Session):
        serialise(reported)  # what was read can be told on


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "user", "name", "role"]), inner)
    ),
    max_leaves=8,
)


@given(value=st.dictionaries(st.sampled_from(["id", "roles", "tenants", "x"]), _VALUES))
def test_any_shape_gives_a_judgement(value: dict[str, object]) -> None:
    profile = KINDS[-1]
    raw = json.dumps(value).encode()
    reported = interpret_record(profile, CREDENTIAL, Stored(value=raw, pttl=1), NOW)

    if isinstance(reported, Session):
        serialise(reported)


_GENUINE = {
    each.id: (each.profile, each.cookie, each.redis, each.now) for each in SCENARIOS
}
