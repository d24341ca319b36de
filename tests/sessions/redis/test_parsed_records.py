"""The same bytes of a record are parsed once, and few records are kept."""

import pytest

from gateway.sessions.record_json import serialise
from gateway.sessions.redis import parsed_records
from gateway.sessions.redis.parsed_records import ParsedRecords
from tests.sessions.samples import a_session

RAW = serialise(a_session())


def test_the_same_bytes_are_parsed_once() -> None:
    records = ParsedRecords(None)

    first = records.parse("k", RAW)

    assert first == a_session()
    assert records.parse("k", bytes(bytearray(RAW))) is first


def test_other_bytes_of_a_key_replace_its_record() -> None:
    records = ParsedRecords(None)
    records.parse("k", RAW)

    other = records.parse("k", serialise(a_session(active=False)))

    assert other == a_session(active=False)
    assert records.raw_of("k", a_session()) is None


def test_an_absent_record_is_none() -> None:
    records = ParsedRecords(None)
    records.parse("k", RAW)

    assert records.parse("k", None) is None


def test_the_bytes_of_a_written_session_are_kept() -> None:
    records = ParsedRecords(None)

    records.remember("k", RAW, a_session())

    assert records.raw_of("k", a_session()) == RAW
    assert records.raw_of("other", a_session()) is None


def test_a_record_that_is_not_used_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parsed_records, "PARSED_RECORDS", 2)
    records = ParsedRecords(None)
    for key in ("a", "b", "c", "a", "d", "e"):
        records.parse(key, RAW)

    kept = [records.raw_of(key, a_session()) is not None for key in "abcde"]

    assert kept == [True, False, False, True, True]


def test_a_large_record_is_not_kept() -> None:
    records = ParsedRecords(None)
    records.parse("k", RAW)
    large = a_session(extra={"x": "x" * 9_000})

    assert records.parse("k", serialise(large)) == large
    assert records.raw_of("k", large) is None


def test_a_corrupt_record_is_reported_with_its_key() -> None:
    reported: list[str] = []
    records = ParsedRecords(lambda key, _why: reported.append(key))

    for key in ("a", "a", "b"):
        records.parse(key, b"{")

    assert reported == ["a", "b"]
