from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.http.target import (
    OPT_IN,
    BadTarget,
    Target,
    parse_target,
    segment_key,
    strip_prefix,
)
from gateway.reasons import Reason

REFUSED = {
    # not origin-form
    "empty": "",
    "asterisk": "*",
    "absolute-form": "http://evil.example/private",
    "absolute-form-file": "file:///etc/passwd",
    "authority-form": "a:80",
    "no-leading-slash": "admin",
    "query-only": "?a=b",
    # dot segments, in every spelling
    "dot-dot": "/public/../admin",
    "dot-dot-end": "/public/..",
    "dot": "/./admin",
    "dot-end": "/admin/.",
    "dot-dot-escaped": "/public/%2e%2e/admin",
    "dot-dot-escaped-upper": "/public/%2E%2E/admin",
    "dot-dot-half-escaped": "/public/.%2e/admin",
    "dot-dot-slash-escaped": "/bypass/..%2fsecret",
    "dot-dot-slash-escaped-upper": "/bypass/..%2Fsecret",
    "all-escaped": "/bypass%2f%2e%2e%2fadmin",
    "dot-dot-backslash-escaped": "/a/..%5cadmin",
    "dot-dot-double-escaped": "/a/%252e%252e/b",
    "dot-dot-slash-double-escaped": "/a/..%252fb",
    "dot-dot-thrice-escaped": "/a/%25252e%25252e/b",
    "escaped-beyond-counting": "/a/" + "%25" * 1 + "25" * 400 + "2e",
    "dot-dot-parameter": "/callback/..;/evil",
    "dot-dot-parameter-value": "/a/..;x=1/evil",
    "dot-parameter": "/a/.;x/evil",
    "dot-dot-parameter-escaped": "/a/..%3B/evil",
    "dot-dot-question-escaped": "/a/..%3F/evil",
    "dot-dot-hash-escaped": "/a/..%23/evil",
    # slashes that merge, backslashes
    "double-slash": "//admin/secret",
    "double-slash-inside": "/a//b",
    "double-slash-end": "/a//",
    "backslash": "/a\\b",
    "backslash-start": "/\\evil.example",
    # fragments
    "fragment": "/admin#/public",
    "fragment-in-query": "/admin?x#y",
    # bytes that no target has
    "space": "/a b",
    "space-in-query": "/a?b c",
    "nul": "/a\0b",
    "del": "/a\x7fb",
    "tab": "/a\tb",
    "newline": "/a\n",
    "newline-in-query": "/a?b\n",
    "8-bit": "/caf\xe9",
    "8-bit-in-query": "/?caf\xe9",
    "surrogate": "/\udce9",
    # escapes
    "nul-escaped": "/a%00b",
    "newline-escaped": "/a%0Ab",
    "carriage-return-escaped": "/a%0db",
    "tab-escaped": "/%09/evil",
    "del-escaped": "/a%7fb",
    "escape-not-hex": "/a%zzb",
    "escape-cut": "/a%",
    "escape-cut-after-one": "/a%2",
    "escape-of-escape": "/%%36%36",
    "escape-half-escaped": "/%4%31",
    "escape-unicode-digit": "/%\u0664\u0661",
    "escape-sign": "/%+1a",
    "escape-8-bit": "/%ff",
    "escape-overlong-dot": "/%c0%ae%c0%ae/admin",
    "escape-overlong-slash": "/a%c0%afb",
    "escape-surrogate": "/%ed%a0%80",
    "escape-cut-utf-8": "/%c3/x",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_what_two_readers_might_read_differently_is_refused(raw: str) -> None:
    found = parse_target(raw)

    assert isinstance(found, BadTarget)
    assert found.reason is Reason.BAD_TARGET
    assert raw.strip("/") == "" or raw not in found.detail


CANONICAL = [
    pytest.param("/", "/", None, set(), id="root"),
    pytest.param("/?", "/", "", set(), id="empty-query-stays"),
    pytest.param(
        "/a/b?x=%2f..//&y='\"<", "/a/b", "x=%2f..//&y='\"<", set(), id="query"
    ),
    pytest.param("/a?b?c", "/a", "b?c", set(), id="second-question-mark"),
    pytest.param("/a?\\", "/a", "\\", set(), id="backslash-in-query"),
    pytest.param("/%41dm%69n", "/Admin", None, set(), id="unreserved-decoded"),
    pytest.param("/a%7eb%2Dc", "/a~b-c", None, set(), id="unreserved-marks-decoded"),
    pytest.param("/caf%c3%a9", "/caf%C3%A9", None, set(), id="utf-8-upper-cased"),
    pytest.param("/a%20b%40c", "/a%20b%40c", None, set(), id="others-stay"),
    pytest.param(
        "/@me/a+b,c=d!$&'()*:", "/@me/a+b,c=d!$&'()*:", None, set(), id="pchar"
    ),
    pytest.param("/a/", "/a/", None, set(), id="trailing-slash-stays"),
    pytest.param("/.well-known/x", "/.well-known/x", None, set(), id="dot-name"),
    pytest.param("/a/...", "/a/...", None, set(), id="three-dots"),
    pytest.param("/foo../bar", "/foo../bar", None, set(), id="dots-at-the-end"),
    pytest.param("/a%2fb", "/a%2Fb", None, {"%2F"}, id="slash"),
    pytest.param("/a%5Cb", "/a%5Cb", None, {"%5C"}, id="backslash"),
    pytest.param("/a%2541", "/a%2541", None, {"%25"}, id="percent-is-decoded-once"),
    pytest.param("/a%23b%3fc", "/a%23b%3Fc", None, {"%23", "%3F"}, id="hash-question"),
    pytest.param("/a%3bb;c=d", "/a%3Bb;c=d", None, {"%3B", ";"}, id="semicolons"),
]


@pytest.mark.parametrize(("raw", "path", "query", "escapes"), CANONICAL)
def test_a_target_has_one_spelling(
    raw: str, path: str, query: str | None, escapes: set[str]
) -> None:
    expected = Target(path=path, query=query, escapes=frozenset(escapes))

    assert parse_target(raw) == expected


targets = st.one_of(
    st.text(),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)).map("/".__add__),
    st.lists(
        st.sampled_from(
            ["/", "a", "B", ".", "..", "%", "%2", "%2e", "%2F", "%41", "%25", "%c3%a9"]
            + [";", "?", "#", "\\", "%5c", "%00", "~", "@", "%3B", "%252e", "é", " "]
        )
    ).map(lambda parts: "/" + "".join(parts)),
)


@given(targets)
@example("/?")
@example("/%7e")
@example("/a/%41%2f;x?%zz")
def test_any_text_gives_a_value_and_canonical_twice_is_canonical_once(raw: str) -> None:
    once = parse_target(raw)
    if isinstance(once, BadTarget):
        return

    assert parse_target(once.raw) == once
    assert once.path.startswith("/")
    assert "//" not in once.path
    assert once.escapes <= set(OPT_IN)
    assert "?" not in raw or once.query == raw.partition("?")[2]


@given(targets)
def test_no_decoding_of_an_accepted_path_climbs(raw: str) -> None:
    found = parse_target(raw)
    if isinstance(found, BadTarget):
        return

    path = found.path.encode()
    for _ in range(6):
        for segment in path.replace(b"\\", b"/").split(b"/"):
            assert segment.partition(b";")[0] not in {b".", b".."}
        path = unquote_to_bytes(path)


@given(targets)
def test_a_path_with_nothing_to_opt_in_to_decodes_to_the_same_segments(
    raw: str,
) -> None:
    found = parse_target(raw)
    if isinstance(found, BadTarget) or found.escapes:
        return

    decoded = unquote_to_bytes(found.path).decode()
    assert decoded.count("/") == found.path.count("/")
    assert not set(decoded) & set("\\%#?;\0\r\n")


STRIPPED = [
    pytest.param("/api/x", "/api", "/x", id="below"),
    pytest.param("/api", "/api", "/", id="itself"),
    pytest.param("/api/", "/api", "/", id="itself-with-slash"),
    pytest.param("/api/x?y=/api", "/api", "/x?y=/api", id="query-stays"),
    pytest.param("/api?", "/api", "/?", id="empty-query-stays"),
    pytest.param("/api/x", "/api/", "/x", id="prefix-with-slash"),
    pytest.param("/api/v1/x", "/api/v1", "/x", id="two-segments"),
    pytest.param("/apix", "/api", "/apix", id="not-a-whole-segment"),
    pytest.param("/api../admin", "/api", "/api../admin", id="dots-after-the-prefix"),
    pytest.param("/x/api/y", "/api", "/x/api/y", id="not-at-the-start"),
    pytest.param("/API/x", "/api", "/API/x", id="case-matters"),
    pytest.param("/x", "/", "/x", id="no-prefix"),
    pytest.param("/%40me/x", "/@me", "/x", id="escaped-spelling"),
    pytest.param("/caf%C3%A9/x", "/café", "/x", id="utf-8-spelling"),
    pytest.param("/a%2Fb/x", "/a", "/a%2Fb/x", id="escaped-slash-is-no-boundary"),
    pytest.param("/api/a%2Fb;c", "/api", "/a%2Fb;c", id="escapes-stay"),
]


@pytest.mark.parametrize(("raw", "prefix", "left"), STRIPPED)
def test_a_prefix_is_whole_segments(raw: str, prefix: str, left: str) -> None:
    target = parse_target(raw)
    assert isinstance(target, Target)

    found = strip_prefix(target, prefix)

    assert isinstance(found, Target)
    assert found.raw == left
    assert found == parse_target(left)


@given(targets, st.sampled_from(["/a", "/a/b", "/..", "/%41"]))
def test_what_is_left_of_a_target_is_a_target(raw: str, prefix: str) -> None:
    target = parse_target(raw)
    if isinstance(target, BadTarget):
        return

    found = strip_prefix(target, prefix)

    assert isinstance(found, BadTarget) or parse_target(found.raw) == found


def test_a_key_that_is_not_utf_8_is_the_spelling() -> None:
    assert segment_key("a%40b") == "a@b"
    assert segment_key("%ff") == "%ff"
