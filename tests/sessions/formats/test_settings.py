"""How settings are read, one by one, and all that is wrong told."""

import pytest

from gateway.sessions.formats.profile import Unit
from gateway.sessions.formats.settings import (
    Finding,
    Findings,
    FormatRefused,
    one_of,
    several,
    text,
)


def test_a_wrong_setting_is_a_finding_and_nothing() -> None:
    findings = Findings()

    assert findings.read(("a",), "x", one_of(Unit)) is None
    assert findings.read(("b",), "s", one_of(Unit)) is Unit.SECONDS
    assert findings.found == [
        Finding(where=("a",), message="expected one of s, ms, iso")
    ]
    assert str(FormatRefused(findings.found)) == "expected one of s, ms, iso"


@pytest.mark.parametrize("given", [None, 7, True, ["a"], {"a": 1}, b"a"])
def test_only_text_is_text(given: object) -> None:
    with pytest.raises(ValueError, match="expected text"):
        text(str)(given)


@pytest.mark.parametrize("given", [None, 7, True, ["s"], {}, "S", "seconds"])
def test_only_a_member_is_one(given: object) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        one_of(Unit)(given)


def test_one_or_several_or_none() -> None:
    assert several(None) == []
    assert several("a") == ["a"]
    assert several(("a", "b")) == ["a", "b"]
