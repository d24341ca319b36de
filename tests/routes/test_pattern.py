import pytest

from gateway.routes.pattern import (
    BadPattern,
    HostKind,
    HostPattern,
    PathPattern,
    parse_host_pattern,
    parse_path_pattern,
)

BAD_PATHS = {
    "relative": "admin",
    "empty": "",
    "double-slash": "/a//b",
    "double-slash-rest": "/a//**",
    "dot-segment": "/a/../b",
    "dot-segment-escaped": "/a/%2e%2e/b",
    "dot-segment-with-a-parameter": "/{a}/../b",
    "backslash": "/a\\b",
    "fragment": "/a#b",
    "query": "/a?b",
    "space": "/a b",
    "non-ascii": "/é",
    "nul": "/a%00",
    "bad-escape": "/a%zz",
    "semicolon": "/a;b",
    "escaped-slash": "/a%2Fb",
    "escaped-percent": "/a%25b",
    "star-inside": "/a/*/b",
    "stars-inside": "/**/b",
    "stars-after-text": "/a**",
    "brace-inside": "/a{b}",
    "brace-open": "/{a",
    "brace-empty": "/{}",
    "brace-number": "/{1}",
    "brace-with-star": "/{a*}",
    "same-name-twice": "/{a}/{a}",
}


@pytest.mark.parametrize("text", BAD_PATHS.values(), ids=BAD_PATHS.keys())
def test_a_path_that_no_request_can_have_is_refused(text: str) -> None:
    assert isinstance(parse_path_pattern(text), BadPattern)


PATHS = [
    pytest.param("/", ("",), (), False, id="root"),
    pytest.param("/**", (), (), True, id="everything"),
    pytest.param("/admin/**", ("admin",), (), True, id="below"),
    pytest.param("/admin/", ("admin", ""), (), False, id="trailing-slash"),
    pytest.param("/t/{id}/x", ("t", None, "x"), ((1, "id"),), False, id="parameter"),
    pytest.param("/{a}/{b}/**", (None, None), ((0, "a"), (1, "b")), True, id="two"),
    pytest.param("/%41dmin", ("Admin",), (), False, id="escape-of-unreserved"),
    pytest.param("/%40me", ("@me",), (), False, id="escape-of-reserved"),
    pytest.param("/@me", ("@me",), (), False, id="reserved"),
    pytest.param("/caf%c3%a9", ("café",), (), False, id="utf-8"),
    pytest.param("/%2A%2a", ("**",), (), False, id="escaped-stars-are-text"),
    pytest.param("/.well-known/x", (".well-known", "x"), (), False, id="dot-name"),
]


@pytest.mark.parametrize(("text", "segments", "params", "rest"), PATHS)
def test_a_path_is_segments(
    text: str,
    segments: tuple[str | None, ...],
    params: tuple[tuple[int, str], ...],
    rest: bool,
) -> None:
    expected = PathPattern(segments=segments, params=params, rest=rest)

    assert parse_path_pattern(text) == expected


def test_a_route_may_name_what_it_allows() -> None:
    allows = frozenset({";"})

    assert isinstance(parse_path_pattern("/a;b", allows), PathPattern)
    assert isinstance(parse_path_pattern("/a%3Bb", allows), BadPattern)


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a:80", "http://a", "a/b", "*", "*.", "{}.a", "{1}.a", "*.*.a", "a.*"]
    + ["{a}{b}.c", "a@b", "é.example", "{tenant}", "x{tenant}.example"],
)
def test_a_host_that_no_request_can_have_is_refused(text: str) -> None:
    assert isinstance(parse_host_pattern(text), BadPattern)


HOSTS = [
    pytest.param(None, HostKind.ANY, "", id="any"),
    pytest.param("Intern.LocalHost", HostKind.EXACT, "intern.localhost", id="name"),
    pytest.param("a.example.", HostKind.EXACT, "a.example", id="root-dot"),
    pytest.param("[::1]", HostKind.EXACT, "[::1]", id="ipv6"),
    pytest.param("*.Example.com", HostKind.WILDCARD, "example.com", id="star"),
    pytest.param("{t}.a.example", HostKind.WILDCARD, "a.example", id="named"),
]


@pytest.mark.parametrize(("text", "kind", "name"), HOSTS)
def test_a_host_is_exact_or_has_one_wildcard_label(
    text: str | None, kind: HostKind, name: str
) -> None:
    assert parse_host_pattern(text) == HostPattern(kind=kind, name=name)
