"""A corrupt session is reported once."""

import pytest

from gateway.sessions import corrupt_reports
from gateway.sessions.corrupt_reports import CorruptReports


def test_a_key_is_reported_once_until_others_displace_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(corrupt_reports, "REPORTED_KEYS", 2)
    reported: list[tuple[str, str]] = []
    reports = CorruptReports(lambda key, why: reported.append((key, why)))

    for number, key in enumerate(("a", "a", "b", "c", "a")):
        reports.report(key, f"{number}")

    assert reported == [("a", "0"), ("b", "2"), ("c", "3"), ("a", "4")]


def test_without_a_callback_nothing_is_kept() -> None:
    reports = CorruptReports(None)

    reports.report("a", "why")

    assert not reports._reported
