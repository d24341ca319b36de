"""The record format, by its published vectors and its laws."""

import base64
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.cookie import SessionToken, new_token, read_session_token
from gateway.sessions.members import MAX_RECORD_DEPTH
from gateway.sessions.record import Corrupt, Identity, Session, Tenant
from gateway.sessions.record_json import MAX_RECORD_BYTES, parse_record, serialise
from gateway.sessions.redis.record_keys import identity_key, public_id_key, record_key
from gateway.sessions.timestamps import format_timestamp, parse_timestamp
from tests.sessions.samples import DAY, NOW, a_session, the_session

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "session_records.json").read_bytes()
)


Row: TypeAlias = dict[str, Any]


def named(rows: list[Row]) -> list[object]:
    return [pytest.param(row, id=row["name"]) for row in rows]


@pytest.mark.parametrize("row", named(VECTORS["raw"]))
def test_bytes_that_are_no_record_are_corrupt(row: Row) -> None:
    assert isinstance(parse_record(base64.b64decode(row["base64"])), Corrupt)


@pytest.mark.parametrize("row", named(VECTORS["records"]))
def test_records_mean_what_the_vectors_say(
    row: Row,
) -> None:
    read = parse_record(orjson.dumps(row["record"]))

    if row["session"] is None:
        assert isinstance(read, Corrupt)
        return
    assert isinstance(read, Session)
    assert row["session"] == {
        "id": read.id,
        "active": read.active,
        "identity_id": read.identity.id,
        "issued_at": read.issued_at,
        "authenticated_at": read.authenticated_at,
        "expires_at": read.expires_at,
        "last_seen_at": read.last_seen_at,
        "aal": read.aal,
        "roles": list(read.identity.roles),
        "tenants": {t.id: [t.name, t.role] for t in read.tenants.values()},
        "active_tenant_id": read.active_tenant_id,
        "persistent": read.persistent,
    }
    assert parse_record(serialise(read)) == read


def test_the_full_record_is_written_as_it_was_read() -> None:
    full = VECTORS["records"][0]["record"]

    assert (
        orjson.loads(serialise(the_session(parse_record(orjson.dumps(full))))) == full
    )


def test_unknown_members_survive_a_rewrite() -> None:
    record = next(row for row in VECTORS["records"] if "unknown" in row["name"])
    written = orjson.loads(
        serialise(the_session(parse_record(orjson.dumps(record["record"]))))
    )

    assert written["shop"] == {"cart": [1, 2]}


@pytest.mark.parametrize("row", VECTORS["tokens"])
def test_tokens_and_their_keys(row: Row) -> None:
    token = new_token(bytes.fromhex(row["random"]))

    assert token.value == row["token"]
    assert record_key(token.key) == row["key"]
    assert token.key == sha256(row["token"].encode()).hexdigest()


@pytest.mark.parametrize("text", VECTORS["not_tokens"])
def test_what_is_no_token(text: str) -> None:
    read = read_session_token([b"s=" + text.encode()], b"s")

    assert not isinstance(read, SessionToken)


def test_names_of_indexes_and_hints() -> None:
    for row in VECTORS["indexes"]:
        assert identity_key(row["identity_id"]) == row["key"]
    for row in VECTORS["hints"]:
        assert public_id_key(row["session_id"]) == row["key"]


@given(st.text(), st.text())
def test_two_identities_never_share_an_index(one: str, other: str) -> None:
    assert (identity_key(one) == identity_key(other)) == (one == other)
    assert identity_key(one).count(":") == 3
    assert identity_key(one).isprintable()


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value(raw: bytes) -> None:
    assert isinstance(parse_record(raw), Session | Corrupt)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.sampled_from(list(VECTORS["records"][0]["record"])), JSON)
def test_any_json_in_any_member_gives_a_value(member: str, value: object) -> None:
    record = {**VECTORS["records"][0]["record"], member: value}

    read = parse_record(orjson.dumps(record))

    assert isinstance(read, Session | Corrupt)
    if isinstance(read, Session):
        assert parse_record(serialise(read)) == read


def test_a_reason_for_corruption_repeats_no_content() -> None:
    for row in VECTORS["records"]:
        if row["session"] is None:
            read = parse_record(orjson.dumps(row["record"]))
            assert isinstance(read, Corrupt)
            assert "u_ada" not in read.why
            assert read.why.isascii()


def test_limits_are_to_the_byte_and_the_level() -> None:
    raw = serialise(a_session(extra={"x": ""}))
    full = serialise(a_session(extra={"x": "x" * (MAX_RECORD_BYTES - len(raw))}))

    assert len(full) == MAX_RECORD_BYTES
    assert isinstance(parse_record(full), Session)
    assert isinstance(parse_record(full + b" "), Corrupt)
    # The object itself is the first level.
    nested = json.loads("[" * (MAX_RECORD_DEPTH - 1) + "]" * (MAX_RECORD_DEPTH - 1))
    assert isinstance(parse_record(serialise(a_session(extra={"x": nested}))), Session)
    with pytest.raises(ValueError, match="deeper"):
        serialise(a_session(extra={"x": [nested]}))


@pytest.mark.parametrize(
    "traits",
    [
        pytest.param({"n": 2**70}, id="a-number-too-large"),
        pytest.param({"s": "\ud800"}, id="a-lone-surrogate"),
        pytest.param({"o": object()}, id="an-object"),
        pytest.param({1: "x"}, id="a-key-that-is-no-string"),
    ],
)
def test_what_json_cannot_hold_is_refused_when_written(
    traits: dict[str, object],
) -> None:
    session = a_session(identity=Identity(id="u", traits=traits))

    with pytest.raises(ValueError, match="JSON"):
        serialise(session)


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": Identity(id="u_bob")},
        {"identity": Identity(id="u_ada", roles=("admin", "staff"))},
        {"identity": Identity(id="u_ada", traits={"email": "new@example.com"})},
        {"tenants": {}},
        {"tenants": {"t_acme": Tenant(id="t_acme", name="Acme", role="member")}},
        {"active_tenant_id": "t_beta"},
        {"active_tenant_id": None},
        {"aal": "aal2"},
    ],
)
def test_the_version_changes_with_what_upstreams_get(
    changes: dict[str, Any],
) -> None:
    assert a_session(**changes).version != a_session().version


def test_the_version_stays_when_only_times_move() -> None:
    later = a_session(last_seen_at=NOW + 60, expires_at=NOW + 2 * DAY, devices=())

    assert later.version == a_session().version
    assert the_session(parse_record(serialise(later))).version == later.version


def test_traits_do_not_print() -> None:
    assert "ada@example.com" not in repr(a_session())


@given(st.floats(0, 253_402_300_799))
def test_a_written_time_reads_back_to_the_microsecond(moment: float) -> None:
    text = format_timestamp(moment)

    read = parse_timestamp(text)
    assert read is not None
    assert abs(read - moment) < 1e-4
    assert format_timestamp(read) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW, "2027-01-15T08:00:00Z"),
        (NOW + 0.25, "2027-01-15T08:00:00.250000Z"),
        (-1e300, "1970-01-01T00:00:00Z"),
        (1e300, "9999-12-31T23:59:59Z"),
    ],
)
def test_times_are_written_in_utc_within_four_digits_of_year(
    moment: float, text: str
) -> None:
    assert format_timestamp(moment) == text


def test_a_leap_second_is_the_second_before() -> None:
    assert parse_timestamp("2016-12-31T23:59:60Z") == parse_timestamp(
        "2016-12-31T23:59:59Z"
    )


@pytest.mark.parametrize(
    "twice",
    [
        b'"active": false, ',
        b'"\\u0061ctive": false, ',
        b'"x": {"a": 1, "a": 1}, ',
        b'"x": [[{"": 1, "": 2}]], ',
    ],
)
def test_a_record_that_says_something_twice_is_unreadable(twice: bytes) -> None:
    raw = serialise(a_session())

    found = parse_record(b"{" + twice + raw[1:])

    assert found == Corrupt("a key is there twice")


def test_a_record_may_hold_numbers_of_any_size() -> None:
    raw = serialise(a_session())

    found = parse_record(b'{"x": 1' + b"0" * 300 + b', "y": -1e-300, ' + raw[1:])

    assert isinstance(found, Session)


@pytest.mark.parametrize("value", [7, "today", None, {}, "2027-01-15 08:00:00"])
def test_a_time_of_the_identity_in_another_form_is_unknown(value: object) -> None:
    document = orjson.loads(serialise(a_session()))
    document["identity"]["created_at"] = value

    assert parse_record(orjson.dumps(document)) == a_session()


def test_the_times_of_an_identity_are_kept_and_move_its_version() -> None:
    plain = a_session()
    identity = replace(plain.identity, created_at=NOW - DAY, updated_at=NOW)
    session = replace(plain, identity=identity)

    assert parse_record(serialise(session)) == session
    assert session.version != plain.version
