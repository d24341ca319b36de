from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.http.target import BadTarget, Target, parse_target
from gateway.routes.model import Route, Rule, route_id
from gateway.routes.table import (
    Match,
    MethodNotAllowed,
    NoRoute,
    RouteTable,
)


def route(
    path: str,
    *methods: str,
    host: str | None = None,
    preflight_pass: bool = False,
    **kwargs: object,
) -> Route:
    return Route(
        id=route_id(host, path, methods),
        host=host,
        path=path,
        methods=frozenset(methods) or None,
        rule=Rule.PROTECTED,
        preflight_pass=preflight_pass,
        upstream="web",
        **kwargs,  # type: ignore[arg-type]
    )


def matched(table: RouteTable, method: str, host: str, path: str) -> str | None:
    found = table.match(method, host, path)
    return found.route.id if isinstance(found, Match) else None


TABLE = RouteTable(
    [
        route("/**"),
        route("/static/**"),
        route("/admin/**"),
        route("/admin"),
        route("/exact"),
        route("/a/b/d"),
        route("/a/{x}/c"),
        route("/a/b/**"),
        route("/p/b/d"),
        route("/p/{x}/c"),
        route("/t/{tenant}/**"),
        route("/%40me/**"),
        route("/api/**", "GET", "POST"),
        route("/api/**", "DELETE"),
        route("/mixed", "GET"),
        route("/mixed"),
        route("/**", host="intern.localhost"),
        route("/only/**", host="part.localhost"),
        route("/**", host="{tenant}.example.com"),
        route("/**", host="fixed.example.com"),
        route("/**", host="*.example.org"),
        route("/x/{y}/**", host="{name}.example.net"),
    ]
)

MATCHES = [
    # hostile spellings of protected places
    pytest.param("GET", "a", "/%40me/x", "/%40me/**", id="escaped"),
    pytest.param("GET", "a", "/@me/x", "/%40me/**", id="not-escaped"),
    pytest.param("GET", "a", "/Admin", "/**", id="case-matters"),
    pytest.param("GET", "a", "/adminx", "/**", id="not-a-whole-segment"),
    pytest.param("GET", "a", "/admin%2Fx", "/**", id="escaped-slash-is-text"),
    pytest.param("GET", "a", "/admin;x", "/**", id="semicolon-is-text"),
    pytest.param("GET", "a", "/exact/", "/**", id="trailing-slash-matters"),
    pytest.param("GET", "a", "/t/", "/**", id="a-parameter-is-not-empty"),
    pytest.param("GET", "a", "/t//x", "/**", id="a-parameter-is-not-empty-inside"),
    # "this and everything below"
    pytest.param("GET", "a", "/", "/**", id="root"),
    pytest.param("GET", "a", "/static", "/static/**", id="this"),
    pytest.param("GET", "a", "/static/", "/static/**", id="this-with-slash"),
    pytest.param("GET", "a", "/static/a/b/", "/static/**", id="below"),
    pytest.param("GET", "a", "/admin", "/admin", id="exact-before-rest"),
    pytest.param("GET", "a", "/admin/", "/admin/**", id="exact-is-without-slash"),
    # segment by segment from the left
    pytest.param("GET", "a", "/a/b/c", "/a/b/**", id="literal-before-parameter"),
    pytest.param("GET", "a", "/a/b/d", "/a/b/d", id="literal-before-rest"),
    pytest.param("GET", "a", "/a/z/c", "/a/{x}/c", id="parameter-before-rest"),
    pytest.param("GET", "a", "/p/b/c", "/p/{x}/c", id="a-branch-that-ends-is-left"),
    pytest.param("GET", "a", "/p/b/e", "/**", id="all-branches-end"),
    # methods
    pytest.param("POST", "a", "/api/x", "GET,POST /api/**", id="method-named"),
    pytest.param("HEAD", "a", "/api/x", "GET,POST /api/**", id="head-is-get"),
    pytest.param("DELETE", "a", "/api/x", "DELETE /api/**", id="other-method"),
    pytest.param("GET", "a", "/mixed", "GET /mixed", id="named-before-any"),
    pytest.param("HEAD", "a", "/mixed", "GET /mixed", id="head-is-get-before-any"),
    pytest.param("PUT", "a", "/mixed", "/mixed", id="any"),
    pytest.param("get", "a", "/mixed", "/mixed", id="case-of-methods-matters"),
    pytest.param("PATCH", "a", "/api/x", None, id="no-less-specific-route-is-asked"),
    # hosts
    pytest.param(
        "GET", "intern.localhost", "/admin", "intern.localhost /**", id="exact-host"
    ),
    pytest.param("GET", "part.localhost", "/x", "/**", id="host-without-this-path"),
    pytest.param(
        "GET", "acme.example.com", "/", "{tenant}.example.com /**", id="wildcard-host"
    ),
    pytest.param(
        "GET", "fixed.example.com", "/", "fixed.example.com /**", id="exact-first"
    ),
    pytest.param("GET", "a.b.example.com", "/", "/**", id="one-label-only"),
    pytest.param("GET", "example.com", "/", "/**", id="at-least-one-label"),
    pytest.param("GET", "x.example.org", "/", "*.example.org /**", id="star-host"),
    pytest.param("GET", "evilexample.com", "/", "/**", id="label-boundary"),
]


@pytest.mark.parametrize(("method", "host", "path", "expected"), MATCHES)
def test_the_most_specific_route_wins(
    method: str, host: str, path: str, expected: str | None
) -> None:
    assert matched(TABLE, method, host, path) == expected


def test_without_a_route_there_is_none() -> None:
    table = RouteTable([route("/a"), route("/b/{x}")])

    assert table.match("GET", "h", "/") == NoRoute()
    assert table.match("GET", "h", "/b") == NoRoute()
    assert table.match("GET", "h", "/b/c/d") == NoRoute()
    assert RouteTable([]).match("GET", "h", "/") == NoRoute()


def test_a_405_lists_what_is_allowed() -> None:
    found = TABLE.match("PATCH", "a", "/api/x")

    assert found == MethodNotAllowed(allowed=("DELETE", "GET", "HEAD", "POST"))


PREFLIGHT = RouteTable(
    [
        route("/**"),
        route("/one/**", "GET", "PUT", preflight_pass=True),
        route("/two", "GET"),
        route("/two", "PUT", preflight_pass=True),
        route("/two", "DELETE", preflight_pass=True),
        route("/named", "GET", preflight_pass=True),
        route("/named", "OPTIONS"),
        route("/any", "GET", preflight_pass=True),
        route("/any"),
    ]
)
PREFLIGHTS = [
    pytest.param("/one/x", None, "GET,PUT /one/**", id="implied"),
    pytest.param("/one/x", "PUT", "GET,PUT /one/**", id="for-a-method"),
    pytest.param("/one/x", "DELETE", None, id="for-a-method-without-route"),
    pytest.param("/two", "DELETE", "DELETE /two", id="the-route-of-the-method"),
    pytest.param("/two", "GET", None, id="a-route-that-checks"),
    pytest.param("/two", None, "DELETE /two", id="unknown-method-same-answer-always"),
    pytest.param("/named", "GET", "OPTIONS /named", id="options-named"),
    pytest.param("/any", "GET", "GET /any", id="passes-before-any"),
    pytest.param("/any", "PUT", "/any", id="any"),
    pytest.param("/any", None, "/any", id="any-without-preflight"),
]


@pytest.mark.parametrize(("path", "requested", "expected"), PREFLIGHTS)
def test_options_go_to_who_passes_preflights(
    path: str, requested: str | None, expected: str | None
) -> None:
    found = PREFLIGHT.match("OPTIONS", "a", path, requested)

    assert (found.route.id if isinstance(found, Match) else None) == expected


def test_options_are_allowed_where_preflights_pass() -> None:
    found = PREFLIGHT.match("POST", "a", "/one")

    assert found == MethodNotAllowed(allowed=("GET", "HEAD", "OPTIONS", "PUT"))


TIES = [
    pytest.param(route("/a"), route("/a"), id="same"),
    pytest.param(route("/{a}/x"), route("/{b}/x"), id="names-do-not-matter"),
    pytest.param(route("/@a"), route("/%40a"), id="spelling-does-not-matter"),
    pytest.param(route("/a", "GET"), route("/a", "GET", "POST"), id="shared-method"),
    pytest.param(
        route("/", host="{a}.b.c"), route("/", host="*.B.c"), id="wildcard-hosts"
    ),
    pytest.param(route("/", host="a.b"), route("/", host="A.b."), id="hosts"),
]


@pytest.mark.parametrize(("one", "other"), TIES)
def test_routes_that_tie_are_refused_with_the_place_of_both(
    one: Route, other: Route
) -> None:
    one, other = replace(one, source="g.yaml:3"), replace(other, source="g.yaml:7")

    with pytest.raises(ConfigError) as caught:
        RouteTable([one, other])

    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("g.yaml", 7)
    assert "g.yaml:3" in problem.message


def test_every_fault_is_reported() -> None:
    routes = [
        route("/a;b"),
        route("/", host="a:80"),
        route("x", host=""),
        replace(route("/a"), id="one"),
        replace(route("/b"), id="one"),
    ]

    with pytest.raises(ConfigError) as caught:
        RouteTable(routes)

    assert len(caught.value.problems) == 5


def test_what_the_gateway_answers_itself_is_out_of_reach() -> None:
    table = RouteTable([route("/.gateway/x"), route("/{x}/**"), route("/.gateways")])

    assert [found.path for found, _ in table.unreachable()] == ["/.gateway/x"]


def test_a_path_of_thousands_of_segments_is_matched() -> None:
    assert matched(TABLE, "GET", "a", "/a" * 4000) == "/**"
    assert TABLE.explain("GET", "a", "/a" * 4000)[0].route.id == "/**"


SEGMENTS = ["a", "b", "%40", "{x}"]
patterns = st.builds(
    lambda segments, rest: "/" + "/".join(segments) + rest,
    st.lists(st.sampled_from(SEGMENTS), max_size=3),
    st.sampled_from(["", "/**"]),
).filter(lambda p: p.count("{x}") < 2 and "//" not in p)
routes = st.lists(
    st.builds(
        lambda path, host, methods: route(path, *methods, host=host),
        patterns,
        st.sampled_from([None, "h", "*.c", "a.c"]),
        st.sampled_from([(), (), ("GET",), ("POST", "PUT")]),
    ),
    max_size=12,
)
paths = st.lists(st.sampled_from(["a", "b", "%40", "@", "c", ""]), max_size=4).map(
    lambda segments: "/" + "/".join(segments)
)
requests = st.tuples(
    st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]),
    st.sampled_from(["h", "a.c", "b.c", "x"]),
    paths,
)


def _table(found: list[Route]) -> RouteTable | None:
    try:
        return RouteTable(found)
    except ConfigError:
        return None


@given(routes, st.randoms(), st.lists(requests, min_size=1))
def test_the_order_of_routes_means_nothing(
    found: list[Route], random: object, requested: list[tuple[str, str, str]]
) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    one, other = _table(found), _table(shuffled)

    assert (one is None) == (other is None)
    if one is None or other is None:
        return
    assert one.routes == other.routes
    for request in requested:
        assert one.match(*request) == other.match(*request)
        assert one.explain(*request) == other.explain(*request)


@given(routes, st.lists(requests, min_size=1))
def test_what_is_explained_is_what_is_done(
    found: list[Route], requested: list[tuple[str, str, str]]
) -> None:
    table = _table(list({(r.path, r.host): r for r in found}.values()))
    if table is None:
        return
    for request in requested:
        answer = table.match(*request)
        reported = table.explain(*request)
        winners = [candidate.route for candidate in reported if candidate.won]
        assert winners == ([answer.route] if isinstance(answer, Match) else [])
        assert bool(reported) is not isinstance(answer, NoRoute)
        assert all(candidate.why for candidate in reported)


@given(requests)
def test_an_escaped_spelling_takes_the_same_route(
    request_: tuple[str, str, str],
) -> None:
    method, host, path = request_
    target = parse_target(path)
    if isinstance(target, BadTarget):
        return
    spelled = "".join(c if c in "/%" or c.isdigit() else f"%{ord(c):02x}" for c in path)
    escaped = parse_target(spelled)

    assert isinstance(escaped, Target)
    assert matched(TABLE, method, host, escaped.path) == matched(
        TABLE, method, host, target.path
    )


def test_all_candidates_are_listed_the_most_specific_first() -> None:
    table = RouteTable(
        [
            route("/**"),
            route("/a/{x}"),
            route("/a/**"),
            route("/a/b"),
            route("/a/b", "GET"),
            route("/a/b", "PUT"),
            route("/**", host="h"),
            route("/a/b", host="h"),
        ]
    )

    reported = [(c.route.id, c.won, c.why) for c in table.explain("GET", "x", "/a/b")]

    assert reported == [
        ("GET /a/b", True, "the most specific host and path, and it takes GET"),
        ("PUT /a/b", False, "takes PUT, not GET"),
        ("/a/b", False, "another route for this path names GET"),
        ("/a/{x}", False, "another route says segment 2 literally"),
        ("/a/**", False, "its /** begins earlier, at segment 2"),
        ("/**", False, "its /** begins earlier, at segment 1"),
    ]
    assert table.explain("GET", "h", "/a/b")[-1].why == (
        "another route names the host more exactly"
    )


def test_an_exact_end_is_nearer_than_all_below() -> None:
    reported = RouteTable([route("/a"), route("/a/**")]).explain("GET", "x", "/a")

    assert [c.why for c in reported][1] == "its /** goes further than the other route"


def test_no_route_has_no_candidates() -> None:
    assert RouteTable([route("/a")]).explain("GET", "x", "/b") == ()


def test_a_405_has_candidates_and_no_winner() -> None:
    reported = RouteTable([route("/a", "GET"), route("/**")]).explain("PUT", "x", "/a")

    assert [(c.won, c.why) for c in reported] == [
        (False, "takes GET, not PUT"),
        (False, "its /** begins earlier, at segment 1"),
    ]


def test_ids_say_methods_host_and_path() -> None:
    for host, methods in product([None, "h.example"], [None, ("GET", "POST")]):
        name = route_id(host, "/a/**", methods)
        assert name == " ".join(filter(None, (",".join(methods or ()), host, "/a/**")))
