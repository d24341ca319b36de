from pathlib import Path

import pytest

from gateway.build.routes import routes_from
from gateway.config.load import parse_config
from gateway.errors import ConfigError
from gateway.routes.model import Require, Route, Rule, Unauthenticated
from gateway.routes.table import Match, MethodNotAllowed, RouteTable

HEAD = """\
version: 1
upstreams:
  web: {url: http://127.0.0.1:3000}
routes:
"""


def compiled(routes: str) -> RouteTable:
    path = Path("gateway.yaml")
    return routes_from(parse_config((HEAD + routes).encode(), path=path, env={}))


def problems(routes: str) -> list[tuple[int, str]]:
    with pytest.raises(ConfigError) as caught:
        compiled(routes)
    return [(problem.line, problem.message) for problem in caught.value.problems]


def test_routes_that_tie_are_reported_with_the_lines_of_both() -> None:
    found = problems("""\
  - {match: /a/**, rule: public, upstream: web}
  - {match: /b, rule: public, upstream: web}
  - match: {path: /a/**}
    rule: admin-only
    upstream: web
""")

    ((line, message),) = found
    assert line == 7
    assert "gateway.yaml:5" in message


def test_every_route_that_cannot_stand_is_reported() -> None:
    found = problems("""\
  - {match: /a, rule: public, upstream: web}
  - {match: /a, rule: public, upstream: web}
  - {match: "/a;b", rule: public, upstream: web}
""")

    assert [line for line, _ in found] == [6, 7]


def test_a_route_has_the_defaults_of_the_contract() -> None:
    (found,) = compiled("  - {match: /a/**, rule: public, upstream: web}\n").routes

    assert found == Route(
        id="/a/**",
        path="/a/**",
        rule=Rule.PUBLIC,
        upstream="web",
        source="gateway.yaml:5",
    )


def test_a_route_has_all_that_was_written() -> None:
    (found,) = compiled("""\
  - match: {host: "*.Example.com", path: /a/**, methods: [POST, GET]}
    rule: protected
    require:
      roles: [staff]
      tenant: true
      tenant_roles: [owner, admin]
      authenticated_within: 15m
      aal: aal2
    unauthenticated: status
    preflight: pass
    forbidden: "404"
    cross_site: refuse
    path_allows: ["%2f", ";"]
    upstream: web
""").routes

    assert found == Route(
        id="POST,GET *.example.com /a/**",
        host="*.example.com",
        path="/a/**",
        methods=frozenset({"GET", "POST"}),
        rule=Rule.PROTECTED,
        require=Require(
            roles=frozenset({"staff"}),
            tenant=True,
            tenant_roles=frozenset({"owner", "admin"}),
            authenticated_within=900.0,
            aal="aal2",
        ),
        unauthenticated=Unauthenticated.STATUS,
        preflight_pass=True,
        forbidden="404",
        cross_site_refused=True,
        path_allows=frozenset({"%2F", ";"}),
        upstream="web",
        source="gateway.yaml:5",
    )


def test_a_route_may_have_a_name_and_ignore_sessions() -> None:
    (found,) = compiled(
        "  - {id: files, match: /a, rule: public, session: ignore, upstream: web}\n"
    ).routes

    assert found.id == "files"
    assert found.session_ignored


def test_the_table_of_a_configuration_matches() -> None:
    table = compiled("""\
  - {match: /**, rule: public, upstream: web}
  - {match: {path: /api/**, methods: [GET]}, rule: protected, upstream: web}
""")

    found = table.match("HEAD", "a", "/api/x")
    assert isinstance(found, Match)
    assert found.route.id == "GET /api/**"
    assert isinstance(table.match("PUT", "a", "/api"), MethodNotAllowed)
