"""Two fields agree only if every reader would read the same request from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.contradictions import Part, find_contradiction

REPEATS = {"x-host": Part.HOST, "x-scheme": Part.SCHEME, "x-target": Part.TARGET}


def contradicts(name: str, *contents: str) -> bool:
    found = find_contradiction(
        {name: ", ".join(contents)},
        REPEATS,
        host="app.example:8443",
        scheme="https",
        target="/a?b=c",
    )
    assert found in {None, name}
    return found is not None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x-host", "app.example"), ("x-host", "app.example:443"), ("x-host", "a b"),
        ("x-host", "app.example:8443@evil"), ("x-host", "\xe9"), ("x-scheme", "http"),
        ("x-scheme", "https, http"), ("x-scheme", "ws"), ("x-target", "/a"),
        ("x-target", "/A?b=c"), ("x-target", "/a?b=%63"), ("forwarded", "host=app.example"),
        ("forwarded", "proto=ftp"), ("forwarded", "=;"), ("forwarded", "host=\xe9"),
        ("forwarded", 'host="app.example:8443";host=app.example'),
    ],
)  # fmt: skip
def test_another_value_contradicts(name: str, content: str) -> None:
    assert contradicts(name, content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x-host", "APP.example.:8443"), ("x-host", ""), ("x-scheme", "wss"),
        ("x-scheme", "HTTPS"), ("x-target", "/a?b=c"), ("forwarded", "by=1"),
        ("forwarded", 'proto=https;host="app.example:8443"'), ("forwarded", ","),
        ("x-other", "evil"),
    ],
)  # fmt: skip
def test_the_same_value_does_not(name: str, content: str) -> None:
    assert not contradicts(name, content)


def test_each_of_several_values_counts() -> None:
    assert contradicts("x-host", "app.example:8443", "evil.example")
    assert contradicts("forwarded", "for=1.2.3.4", "host=evil.example")
    assert contradicts("x-scheme", "https", "https")


@given(name=st.sampled_from([*REPEATS, "forwarded"]), content=st.text(
    st.characters(codec="latin-1"), max_size=30
))  # fmt: skip
def test_any_bytes_agree_or_do_not(name: str, content: str) -> None:
    contradicts(name, content)
