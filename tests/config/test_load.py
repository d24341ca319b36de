"""Every mistake is problems_of: where, what was expected, what is near; all at once."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.config.load import LoadedConfig, load_config, parse_config
from gateway.config.secrecy import secrets_of
from gateway.errors import ConfigError
from tests.config.parsed import PATH, REST, load, problems_of, whole

ROOT = Path(__file__).parents[2]

FILES = [
    pytest.param(
        "",
        ["1:1: expected a mapping; a configuration starts with version: 1"],
        id="nothing",
    ),
    pytest.param(
        "# only\n",
        ["1:1: expected a mapping; a configuration starts with version: 1"],
        id="only a comment",
    ),
    pytest.param(
        "- a\n",
        ["1:1: expected a mapping; a configuration starts with version: 1"],
        id="a list",
    ),
    pytest.param(
        "version",
        ["1:1: expected a mapping; a configuration starts with version: 1"],
        id="a word",
    ),
    pytest.param(
        "version: 1\n",
        ['1:1: missing key "upstreams"', '1:1: missing key "routes"'],
        id="what is required",
    ),
    pytest.param(
        REST, ['1:1: missing key "version"; write version: 1 first'], id="no version"
    ),
    pytest.param(
        "version: true\n" + REST,
        ["1:10: expected 1, the version of this language, got true"],
        id="true is not 1",
    ),
    pytest.param(
        "version: 2\n" + REST,
        ["1:10: expected 1, the version of this language, got 2"],
        id="a later version",
    ),
    pytest.param(
        whole("sever: {}"),
        ['2:1: unknown key "sever"; did you mean "server"?'],
        id="unknown section",
    ),
    pytest.param(
        whole("server: {header_bytes: 1}"),
        ['2:10: unknown key "header_bytes"; it belongs to server.limits'],
        id="key of another section",
    ),
    pytest.param(
        whole("log: {q: 1}"),
        ['2:7: unknown key "q"; known are level, access'],
        id="nothing near",
    ),
    pytest.param(
        whole("log: {level: info, level: debug}"),
        ['2:20: duplicate key "level"; first defined at 2:7'],
        id="duplicate key",
    ),
    pytest.param(
        whole("log: null"),
        ["2:6: expected a mapping, got nothing; remove the key to take the defaults"],
        id="section of nothing",
    ),
    pytest.param(
        whole("log: [1]"),
        ["2:6: expected a mapping, got a list"],
        id="list for a mapping",
    ),
    pytest.param(
        whole('log: {access: "true"}'),
        ['2:15: expected true or false, got "true"'],
        id="quoted boolean",
    ),
    pytest.param(
        whole("log: {level: wraning}"),
        [
            '2:14: expected one of debug, info, warning, error, got "wraning"; did you mean "warning"?'
        ],
        id="closed set",
    ),
    pytest.param(
        whole("redis: {timeout: 250}"),
        ["2:18: expected a duration such as 250ms, 10s, 15m, 6h or 7d, got 250"],
        id="duration without unit",
    ),
    pytest.param(
        whole("redis: {timeout: 0s}"),
        ['2:18: expected a duration such as 250ms, 10s, 15m, 6h or 7d, got "0s"'],
        id="no duration at all",
    ),
    pytest.param(
        whole("server: {limits: {body_bytes: 5 MB}}"),
        [
            '2:31: expected a size such as 32KiB, 64MiB or 10MB, or a number of bytes, got "5 MB"'
        ],
        id="size with a space",
    ),
    pytest.param(
        whole("server: {limits: {connections: 0}}"),
        ["2:32: expected a number of at least 1, got 0"],
        id="too small",
    ),
    pytest.param(
        whole("server: {workers: 0}"),
        ["2:19: expected a whole number from 1 to 1024, or auto, got 0"],
        id="no workers",
    ),
    pytest.param(
        whole("server: {workers: true}"),
        ["2:19: expected a whole number from 1 to 1024, or auto, got true"],
        id="true is no number",
    ),
    pytest.param(
        whole("server: {listen: 8080}"),
        [
            "2:18: expected an address such as 127.0.0.1:8080, [::1]:8080 or unix:/run/gateway.sock, got 8080"
        ],
        id="only a port",
    ),
    pytest.param(
        whole('server: {listen: ":8080"}'),
        [
            '2:18: expected an address such as 127.0.0.1:8080, [::1]:8080 or unix:/run/gateway.sock, got ":8080"; write 0.0.0.0 before the colon to listen everywhere'
        ],
        id="everywhere, unsaid",
    ),
    pytest.param(
        whole("server: {listen: [a:1, b:99999]}"),
        ['2:24: expected a port of at most 65535, got "b:99999"'],
        id="port too large",
    ),
    pytest.param(
        whole("server: {listen: []}"),
        ["2:18: expected at least one entry, got an empty list"],
        id="no listener",
    ),
    pytest.param(
        whole("server: {listen: [a:1, A:1]}"),
        ["2:24: this address is listed twice"],
        id="listener twice",
    ),
    pytest.param(
        whole("server: {listen: a:1, admin: a:1}"),
        ["2:30: the admin listener requires a separate address"],
        id="admin in public",
    ),
    pytest.param(
        whole("server: {admin: a:1, authz: a:1, trusted_proxies: [127.0.0.1]}"),
        ["2:29: the authz listener requires a separate address"],
        id="authz on admin",
    ),
    pytest.param(
        whole("server: {authz: 127.0.0.1:9091}"),
        [
            "2:17: every decision is refused: server.trusted_proxies is empty; add the"
            " address of the front proxy, such as 127.0.0.1"
        ],
        id="authz that trusts no proxy",
    ),
    pytest.param(
        """version: 1
upstreams: {}
routes:
  - {match: /**, rule: protected, upstream: null}
""",
        [
            "4:45: a route without an upstream is for decisions, and server.authz is"
            " null; set server.authz, or name an upstream"
        ],
        id="no upstream, and no front proxy",
    ),
    pytest.param(
        whole("server: {public_url: localhost}"),
        [
            '2:22: expected an origin such as https://app.example.com, got "localhost"; it starts with http:// or https://'
        ],
        id="no scheme",
    ),
    pytest.param(
        whole("server: {public_url: https://a/b}"),
        [
            "2:22: expected an origin such as https://app.example.com; no path and no query after the host"
        ],
        id="origin with a path",
    ),
    pytest.param(
        whole("server: {trusted_proxies: [10.0.0.1/8, x]}"),
        [
            '2:28: expected a network address without host bits, got "10.0.0.1/8"; the network is 10.0.0.0/8',
            '2:40: expected an address or a network such as 10.0.0.0/8, got "x"',
        ],
        id="networks",
    ),
    pytest.param(
        whole("server: {admin_token: short-secret}"),
        ["2:23: the token is too short; use at least 16 characters"],
        id="short token",
    ),
    pytest.param(
        whole("redis: {url: http://u:hunter2@h}"),
        [
            "2:14: expected embedded, redis://host:port/0, rediss://, unix:///path, redis+sentinel://host:port,host:port/name or redis+cluster://host:port,host:port"
        ],
        id="redis over http",
    ),
    pytest.param(
        whole("sessions: {cookie: {name: a b}}"),
        [
            '2:27: expected a cookie name: letters, digits and !#$%&\'*+-.^_`|~, got "a b"'
        ],
        id="cookie name",
    ),
    pytest.param(
        whole("sessions: {cookie: {same_site: none}}"),
        [
            "2:32: same_site: none requires a secure cookie; set secure: true, or an https public_url"
        ],
        id="SameSite=None over http",
    ),
    pytest.param(
        whole(
            "server: {public_url: https://a.example.org}",
            "sessions: {cookie: {domain: example.com}}",
        ),
        [
            "3:29: browsers reject this domain: a.example.org of public_url is not below it"
        ],
        id="foreign domain",
    ),
    pytest.param(
        whole(
            "server: {public_url: https://a.example.com}",
            "sessions: {cookie: {name: __Host-x, domain: example.com}}",
        ),
        ["3:45: a __Host- cookie must not have a domain"],
        id="__Host- with a domain",
    ),
    pytest.param(
        whole("sessions: {cookie: {name: __Host-x}}"),
        ["2:27: a name with the prefix __Host- or __Secure- requires a secure cookie"],
        id="__Host- over http",
    ),
    pytest.param(
        whole("sessions: {lifespan: 1h, extend_within: 6h, idle_timeout: 1h}"),
        [
            "2:41: extend_within must be shorter than lifespan",
            "2:59: idle_timeout must be shorter than lifespan",
        ],
        id="longer than life",
    ),
    pytest.param(
        whole(
            "sessions: {format: django, lifespan: 1d, idle_timeout: 1h, cookie: "
            "{persistent: false}, extend_within: null}"
        ),
        [
            "2:28: lifespan has no effect with format: django; "
            "the app decides how long its sessions live",
            "2:42: idle_timeout has no effect with format: django; "
            "the app decides how long its sessions live",
            "2:69: persistent has no effect with format: django; the app sets its cookie",
        ],
        id="what an app decides",
    ),
    pytest.param(
        whole("sessions: {format: lucia, max_per_identity: 3, remember_ended: 60d}"),
        [
            "2:27: max_per_identity has no effect with format: lucia; "
            "the app decides how many sessions an identity may have"
        ],
        id="how many an app allows",
    ),
    pytest.param(
        "version: 1\nsessions: {format: authjs}\nupstreams:\n"
        "  app: {url: http://127.0.0.1:3000, may_sign_in: true}\n"
        "routes:\n  - {match: /**, rule: protected, upstream: app}\n",
        [
            "4:50: with format: authjs the app signs users in; "
            "remove the key; the gateway reads the app's sessions"
        ],
        id="two who sign in",
    ),
    pytest.param(
        whole(
            "sessions: {format: json, secrets: [1], key_prefix: 5, allow_pickle: 1, "
            "profile: [], cookie: {value: rot13}}"
        ),
        [
            "2:36: expected text; put it in quotes",
            "2:52: expected printable ASCII, or nothing in quotes, got 5",
            "2:69: expected true or false, got 1",
            "2:81: expected a mapping, got an empty list",
            '2:101: expected one of plain, percent, base64, got "rot13"',
        ],
        id="a format problems_of wrongly",
    ),
    pytest.param(
        whole("sessions: {format: gatway}"),
        [
            '2:20: expected one of gateway, better-auth, express-session, flask-session, django, starsessions, aiohttp-session, authjs, lucia, json, got "gatway"; did you mean "gateway"?'
        ],
        id="no such format",
    ),
    pytest.param(
        whole("sessions: {secrets: [hunter2], cookie: {value: plain}}"),
        [
            "2:12: secrets has no effect with format: gateway; "
            "it is for sessions that an app writes",
            "2:41: value has no effect with format: gateway; "
            "it is for sessions that an app writes",
        ],
        id="keys of foreign formats",
    ),
    pytest.param(
        whole("sign_in: {url: //evil.example}"),
        [
            '2:16: expected a path such as /auth/login, or an absolute http(s) URL, got "//evil.example"'
        ],
        id="scheme-relative link",
    ),
    pytest.param(
        whole("tenants: {resolve: [session, host]}"),
        [
            '2:30: expected session, {host: "{tenant}.example.com"}, {path: "/t/{tenant}/**"} or {header: X-Tenant}, got "host"'
        ],
        id="tenant source",
    ),
    pytest.param(
        whole("tokens: {profiles: {a: {audience: x}}}"),
        [
            '2:21: the token profile "a" has no header or cookie; set header or cookie, or browser: true'
        ],
        id="token for nobody",
    ),
    pytest.param(
        whole(
            "tokens: {lifetime: 1h, profiles: {b: {audience: z, browser: true, cookie: jwt}}}",
        ),
        [
            "2:61: a token for the browser lives for at most 15m",
            "2:67: cookie is for tokens of upstreams, and a page gets this one; use another profile for the upstream",
        ],
        id="a browser with the lifetime of all",
    ),
    pytest.param(
        whole(
            "identity_headers: {X-Org: '{tenant.id|identity.traits.org}', X-All: '{tenants.roles}'}"
        ),
        [
            "2:27: a trait must not stand for the tenant or a role in it; users may change their traits; use a literal default",
            "2:69: {tenants.roles} is an object; use {tenants.ids}",
        ],
        id="defaults in headers",
    ),
    pytest.param(
        whole("tokens: {profiles: {a: {audience: x, cookie: gateway_session}}}"),
        ['2:46: the cookie "gateway_session" belongs to the session'],
        id="cookie taken",
    ),
    pytest.param(
        whole("tokens: {profiles: {a: {audience: x, header: Content-Length}}}"),
        ['2:46: the header "Content-Length" is reserved'],
        id="header of the framing",
    ),
    pytest.param(
        whole(
            "tokens: {profiles: {a: {audience: x, header: X-T}}}",
            "identity_headers: {x-t: '{identity.id}'}",
        ),
        ['2:46: the header "X-T" is already one of identity_headers'],
        id="header taken",
    ),
    pytest.param(
        whole(
            'tokens: {profiles: {a: {audience: x, header: X-T, claims: {sub: a, b: ["{tenant.idd}"]}}}}'
        ),
        [
            '2:60: the claim "sub" is set by the gateway',
            "2:72: unknown placeholder; did you mean {tenant.id}?",
        ],
        id="claims",
    ),
    pytest.param(
        whole("identity_headers: gatway"),
        [
            '2:19: expected one of gateway, oauth2-proxy, authelia, pomerium, grafana, none, a mapping of headers, got "gatway"; did you mean "gateway"?'
        ],
        id="preset",
    ),
    pytest.param(
        whole('identity_headers: {Host: a, X-A: "{", X_a: b}'),
        [
            '2:20: the header "Host" is reserved',
            "2:34: unmatched brace; double it for a literal brace",
            '2:39: "X-A" and "X_a" are one header to many servers',
        ],
        id="headers",
    ),
]


@pytest.mark.parametrize(("text", "problems"), FILES)
def test_a_mistake_is_reported_with_its_place(text: str, problems: list[str]) -> None:
    assert problems_of(text) == problems


def routes(*rows: str, upstream: str = "{url: http://h}") -> str:
    lines = "\n".join(f"  - {row}" for row in rows)
    return f"version: 1\nupstreams: {{app: {upstream}}}\nroutes:\n{lines}\n"


ROUTES = [
    pytest.param(
        routes("{match: /, rule: public, upstream: ap}"),
        ['4:40: there is no upstream "ap"; did you mean "app"?'],
        id="no such upstream",
    ),
    pytest.param(
        routes(
            *["{match: /" + name + ", rule: public, upstream: ap}" for name in "abc"]
        ),
        ['4:41: there is no upstream "ap"; did you mean "app"?; 2 more routes name it'],
        id="no such upstream, three times",
    ),
    pytest.param(
        routes("{match: /, rule: public, upstream: app}").replace(
            "upstreams", "upstreamz"
        ),
        ['2:1: unknown key "upstreamz"; did you mean "upstreams"?'],
        id="one misspelled key",
    ),
    pytest.param(
        routes("{match: /, rule: protcted, upstream: app}"),
        [
            '4:22: expected one of public, protected, admin-only, auth-redirect, got "protcted"; did you mean "protected"?'
        ],
        id="no such rule",
    ),
    pytest.param(
        routes("{match: /, rule: public}"),
        ['4:5: missing key "upstream"'],
        id="no upstream",
    ),
    pytest.param(
        routes("{match: /a/**/b, rule: public, upstream: app}"),
        [
            "4:13: the path has a pattern inside a segment; write whole segments: literal, {one}, and a last /**"
        ],
        id="** inside",
    ),
    pytest.param(
        routes("{match: /a/*, rule: public, upstream: app}"),
        [
            "4:13: the path has a pattern inside a segment; write /** for all below, or {name} for one segment"
        ],
        id="one star",
    ),
    pytest.param(
        routes("{match: /, rule: public, upstream: app}", upstream="http://a"),
        ["2:18: expected a mapping; write {url: …}"],
        id="an upstream that is its URL",
    ),
    pytest.param(
        routes("{match: /, rule: public, upstream: app, credentials: bearer}"),
        ['4:58: expected a list, got "bearer"; write it in brackets: […]'],
        id="a word for a list",
    ),
    pytest.param(
        "version: 1\nupstreams: {app: {url: http://a}}\nroutes: {match: /}\n",
        ["3:9: expected a list, got a mapping; each entry begins with a dash: - …"],
        id="one entry for a list",
    ),
    pytest.param(
        routes(
            "{match: /a/**, rule: public, upstream: app}",
            upstream="{url: http://a, strip_prefix: a}",
        ),
        ['2:48: expected a path of literal segments such as /api, got "a"'],
        id="a prefix without a slash",
    ),
    pytest.param(
        routes("{match: {path: /a/../b}, rule: public, upstream: app}"),
        ["4:20: no request can have this path: the path has a dot segment"],
        id="dot segments",
    ),
    pytest.param(
        routes("{match: {path: /, methods: [get]}, rule: public, upstream: app}"),
        ['4:33: expected a method such as GET or POST, got "get"; did you mean "GET"?'],
        id="small method",
    ),
    pytest.param(
        routes("{match: {path: /, host: a:80}, rule: public, upstream: app}"),
        [
            '4:29: expected a host such as app.example.com or *.example.com, without port, got "a:80"'
        ],
        id="host with a port",
    ),
    pytest.param(
        routes("{match: /, rule: public, upstream: app, require: {roles: [a]}}"),
        [
            "4:45: require has no effect on a route that is public; use protected or admin-only"
        ],
        id="require on public",
    ),
    pytest.param(
        routes("{match: /, rule: protected, upstream: app, require: {roles: []}}"),
        ["4:65: an empty list denies every request; remove the key"],
        id="nobody has no role",
    ),
    pytest.param(
        routes("{match: /, rule: public, upstream: app, require: {networks: []}}"),
        ["4:65: an empty list denies every request; remove the key"],
        id="nobody is in no network",
    ),
    pytest.param(
        routes(
            "{match: /, rule: public, upstream: app, require: {networks: [10.1.2.3/8]}}"
        ),
        [
            '4:66: expected a network address without host bits, got "10.1.2.3/8"; the network is 10.0.0.0/8'
        ],
        id="host bits",
    ),
    pytest.param(
        routes(
            "{match: /, rule: public, upstream: app, require: {networks: ['::ffff:10.0.0.0/104']}}"
        ),
        [
            '4:66: expected an IPv4 network in its own form, got "::ffff:10.0.0.0/104"; write 10.0.0.0/8'
        ],
        id="IPv4 written as IPv6",
    ),
    pytest.param(
        routes(
            "{match: /, rule: public, upstream: app, require: {networks: [10.0.0.0/8], tenant: true}}"
        ),
        [
            "4:45: require has no effect on a route that is public; use protected or admin-only"
        ],
        id="networks do not hide what narrows nothing",
    ),
    pytest.param(
        routes("{match: /, rule: protected, upstream: app, session: ignore}"),
        [
            "4:57: session: ignore is not allowed on a route that is protected; it is allowed on public routes only"
        ],
        id="everyone by accident",
    ),
    pytest.param(
        routes("{match: /, rule: protected, upstream: app, credentials: [token]}"),
        ['4:62: expected one of cookie, bearer, basic, got "token"'],
        id="a credential that there is not",
    ),
    pytest.param(
        routes("{match: /, rule: protected, upstream: app, credentials: []}"),
        ["4:61: expected at least one entry, got an empty list"],
        id="no credential",
    ),
    pytest.param(
        routes(
            "{match: /, rule: protected, upstream: app, credentials: [basic, basic]}"
        ),
        ["4:61: a credential is listed twice"],
        id="a credential twice",
    ),
    pytest.param(
        routes(
            "{match: /, rule: public, upstream: app, session: ignore, credentials: [bearer]}"
        ),
        [
            "4:75: a route that is session: ignore takes no access token; remove credentials"
        ],
        id="a token that is ignored",
    ),
    pytest.param(
        routes(
            "{match: /, rule: protected, upstream: app, credentials: [bearer], require: {aal: aal1}}"
        ),
        [
            "4:61: every request is denied: an access token has no aal and no recent sign-in; "
            "add cookie, or remove aal and authenticated_within"
        ],
        id="a token that signs in strongly",
    ),
    pytest.param(
        routes("{match: /, rule: public, upstream: app, forbidden: 401}"),
        ["4:56: expected 403, 404 or a path, got 401"],
        id="forbidden",
    ),
    pytest.param(
        routes("{match: /, rule: public, upstream: app, path_allows: ['%00']}"),
        ['4:59: expected one of %2F, %5C, %25, %23, %3F, %3B, ;, got "%00"'],
        id="NUL is never allowed",
    ),
    pytest.param(
        routes(
            "{id: a, match: /, rule: public, upstream: app}",
            "{id: a, match: /b, rule: public, upstream: app}",
        ),
        ['5:10: the id "a" is already used by the route on line 4'],
        id="id taken",
    ),
    pytest.param(
        routes(
            "{match: /x, rule: public, upstream: app}",
            upstream="{url: http://h, strip_prefix: /api}",
        ),
        ['4:13: upstream "app" strips /api, and this path is not below it'],
        id="nothing to strip",
    ),
    pytest.param(
        routes(
            "{match: /, rule: public, upstream: app}",
            upstream="{url: http://u:hunter2@h}",
        ),
        [
            "2:24: expected a URL such as http://127.0.0.1:3000, https://app.internal or unix:/run/app; no user name and no password here"
        ],
        id="password in a URL",
    ),
    pytest.param(
        routes(
            "{match: /, rule: public, upstream: app}",
            upstream="{url: http://h, token: t}",
        ),
        ['2:41: there is no token profile "t"'],
        id="no such profile",
    ),
    pytest.param(
        routes(
            "{match: /, rule: public, upstream: app}",
            upstream="{url: http://h, token: [a, b, a, c]}",
        )
        + "tokens: {profiles: {a: {audience: x, header: X-T}, b: {audience: z, header: x_t}}}\n",
        [
            '2:45: the token profiles "a" and "b" have the same header',
            '2:48: the token profile "a" is listed twice',
            '2:51: there is no token profile "c"',
        ],
        id="tokens of one header",
    ),
    pytest.param(
        routes(
            "{match: /, rule: public, upstream: app}",
            upstream="{url: http://h, token: [a, b]}",
        )
        + "tokens:\n  profiles:\n    a: {audience: [x, z], header: X-T}\n"
        "    b: {audience: [w, z], browser: true, header: X-B, lifetime: 16m}\n",
        [
            '8:19: the audience "z" is also that of the token profile "a"; a token for the browser requires an audience of its own',
            '8:36: the upstream "app" trusts tokens of this profile; use another profile, with another audience, for the browser',
            "8:42: header is for tokens of upstreams, and a page gets this one; use another profile for the upstream",
            "8:65: a token for the browser lives for at most 15m",
        ],
        id="a browser that could be the gateway",
    ),
    pytest.param(
        routes(
            "{match: /, rule: public, upstream: app}",
            upstream="{url: http://h, tls: {key: k}}",
        ),
        [
            "2:34: tls requires an https:// url",
            "2:34: certificate and key must both be set",
        ],
        id="tls",
    ),
    pytest.param(
        "version: 1\nroles: {admin: []}\n"
        + routes("{match: /, rule: admin-only, upstream: app}")[11:],
        ["5:22: every request is denied: roles.admin is empty"],
        id="no admin",
    ),
    pytest.param(
        "version: 1\nsign_in: {home: null}\n"
        + routes("{match: /, rule: auth-redirect, upstream: app}")[11:],
        ["5:22: auth-redirect requires sign_in.home"],
        id="no home",
    ),
    pytest.param(
        "version: 1\nupstreams: {a b: {url: http://h}}\nroutes: []\n",
        [
            '2:13: expected a name of letters, digits, "_", "-" and "."',
            "3:9: expected at least one entry, got an empty list",
        ],
        id="names and nothing",
    ),
]


@pytest.mark.parametrize(("text", "problems"), ROUTES)
def test_a_mistake_in_a_route_is_reported_with_its_place(
    text: str, problems: list[str]
) -> None:
    assert problems_of(text) == problems


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
version: 1
server: {workers: no}
sessions: {lifespan: 1h, extend_within: 2h}
log: {level: loud}
upstreams:
  app: {url: ftp://h}
routes:
  - {match: x, rule: public, upstream: pp}
  - {match: /b, rule: protected, upstream: app, session: ignore}
"""
    problems = problems_of(text)

    assert [one.split(": ")[0] for one in problems] == [
        "2:19", "3:41", "4:14", "6:14", "8:13", "8:40", "9:58",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["gateway.yaml", "minimal.yaml", "better-auth.yaml", "custom-format.yaml"],
)
def test_the_contract_loads_as_it_stands(name: str) -> None:
    assert load_config(ROOT / "config" / name, env={}).warnings == ()


@pytest.mark.parametrize(
    ("stated", "doubted"),
    [
        ("", ["2"]),
        (", session_cookie: forward", []),
        (", session_cookie: strip", []),
    ],
)
def test_an_app_that_would_not_get_its_own_cookie_is_a_warning(
    stated: str, doubted: list[str]
) -> None:
    """The commonest mistake: everybody is signed out by an app that sees no cookie."""
    text = (
        "version: 1\nupstreams:\n"
        f"  app: {{url: http://127.0.0.1:3000{stated}}}\n"
        "routes: [{match: /**, rule: protected, upstream: app}]\n"
        "sessions: {format: django}\n"
    )
    found = [each for each in load(text).warnings if "session cookie" in each.message]

    assert [str(each.line - 1) for each in found] == doubted
    assert all("session_cookie: forward" in each.hint for each in found)


def test_secrets_of_apps_are_shown_nowhere() -> None:
    text = whole("sessions: {format: json, secrets: [hunter2, [hunter3]]}")

    assert "hunter" not in repr(problems_of(text))
    assert "hunter" not in repr(
        load(whole("sessions: {format: lucia, secrets: [hunter2]}")).config
    )


def test_a_place_is_known_for_every_value() -> None:
    loaded = load(whole("log: {level: debug}"))

    assert loaded.where("log", "level") == (2, 14)
    assert loaded.where("routes", 0, "rule") == (6, 24)
    assert loaded.where("routes", 0, "require", "roles") == (6, 5)
    assert loaded.source("routes", 0) == "g.yaml:6"
    assert loaded.source(("routes", 0)) == "g.yaml:6"


def test_what_is_not_a_file_is_reported() -> None:
    with pytest.raises(
        ConfigError, match=r"nowhere.yaml: cannot read the file: No such"
    ):
        load_config(Path("nowhere.yaml"), env={})
    with pytest.raises(ConfigError, match="cannot read the file: Is a directory"):
        load_config(ROOT, env={})


SECRETS = [
    "server: {admin_token: hunter2}",
    "server: {admin_token: [hunter2hunter2hunter2]}",
    "server: {admin_token: 'hunter2 hunter2 hunter2'}",
    "server: {admin_tokn: hunter2}",
    "redis: {url: 'hunter2'}",
    "redis: {url: 'redis://:hunter2 @h'}",
    "redis: {url: {hunter2: 1}, timeout: '${T}'}",
    "sessions: {secrets: [hunter2]}",
    "redis: {timeout: '${S}'}",
    "log: {level: '${S}', access: '${S:-x}'}",
    "server: {listen: ['${S}'], public_url: 'http://x:${S}@h'}",
    "identity_headers: '${S}'",
    "server: {listen: '${S}', admin: '${S}'}",
    "tokens: {profiles: {a: {audience: x, header: 'X ${S}'}}}",
    "tokens: {profiles: {a: {audience: x, cookie: 'gateway_session${E}'}}}",
]


@pytest.mark.parametrize("line", SECRETS)
def test_no_message_repeats_a_secret_or_a_variable(line: str) -> None:
    problems = problems_of(whole(line), env={"S": "hunter2", "T": "hunter2", "E": ""})

    assert problems
    values = [one for one in problems if "unknown key" not in one]
    assert "hunter2" not in "".join(values)
    assert "hunter2" not in "".join(problems) or "{hunter2: 1}" in line


def test_names_that_came_out_of_variables_are_not_repeated() -> None:
    env = {"S": "hunter2", "C": "gateway_session"}
    text = whole("tokens: {profiles: {a: {audience: x, cookie: '${C}'}}}")
    text += "  - {match: '${S}', rule: public, upstream: '${S}'}\n"

    assert problems_of(text, env) == [
        '2:46: the cookie "…" belongs to the session',
        "7:13: expected a path such as /admin/**, starting with /",
        '7:45: there is no upstream "…"',
    ]


def test_ten_thousand_routes_are_read() -> None:
    rows = "".join(
        f"  - {{match: /r{n}, rule: public, upstream: app}}\n" for n in range(10_000)
    )

    assert len(load(whole("log: {level: info}") + rows).config.routes) == 10_001


def test_a_loaded_configuration_prints_no_secret() -> None:
    loaded = load(
        whole(
            "server: {admin_token: hunter2-hunter2-hunter2}",
            "redis: {url: 'redis://:hunter2@h/0'}",
        )
    )
    shown = f"{loaded!r} {loaded} {loaded.config!r} {loaded.config.server.admin_token}"

    assert "hunter2" not in shown
    assert loaded.config.redis.url.get_secret_value() == "redis://:hunter2@h/0"


ACME = "issuer: 'https://id.example', client_id: c"
PROVIDERS: list[tuple[str, str | None]] = [
    (f"acme: {{{ACME}}}", None),
    ("acme: {issuer: 'http://127.0.0.1:4000', client_id: c}", None),
    ("acme: {issuer: 'http://[::1]:4000/a', client_id: c}", None),
    ("acme: {issuer: 'http://id.example', client_id: c}", "http is accepted for 127.0.0.1"),
    ("acme: {issuer: 'https://id.example?a=b', client_id: c}", "expected an issuer"),
    ("acme: {issuer: 'https://u:p@id.example', client_id: c}", "expected an issuer"),
    ("acme: {issuer: 'https://id.example#a', client_id: c}", "expected an issuer"),
    ("acme: {issuer: 'ftp://id.example', client_id: c}", "expected an issuer"),
    (f"acme: {{{ACME}, client_secret: ''}}", "expected text"),
    (f"acme: {{{ACME}, client_authentication: post}}", "there is no client_secret to send"),
    (f"acme: {{{ACME}, client_secret: x, client_key: {{file: k.pem}}}}", "the client has a secret, too"),
    (f"acme: {{{ACME}, client_key: {{file: k.pem, algorithm: HS256}}}}", "expected one of ES256"),
    (f"acme: {{{ACME}, client_key: {{file: k.pem, audience: anyone}}}}", "expected one of issuer"),
    (f"acme: {{{ACME}, pushed_requests: 'yes'}}", "expected true or false"),
    (f"acme: {{{ACME}, scopes: [email]}}", "openid is not one of the scopes"),
    (f"acme: {{{ACME}, identity: {{id: '{{sub'}}}}", "unmatched brace"),
    (f"acme: {{{ACME}, identity: {{roles: 7}}}}", 'expected text such as "{email}"'),
    (f"acme: {{{ACME}, tenants: '{{a b}}'}}", "unmatched brace"),
    (f"acme: {{{ACME}, tenants: {{claim: '{{groups}}', groups: {{a: {{id: t}}}}}}}}", None),
    (f"acme: {{{ACME}, tenants: {{claim: '{{groups}}'}}}}", "groups"),
    (f"acme: {{{ACME}, allow: {{roles: [staff]}}}}", "every sign-in is denied: identity.roles is not set"),
    (f"acme: {{{ACME}, allow: {{email_domains: ['*']}}}}", "expected a domain"),
    (f"acme: {{{ACME}, allow: {{verified_email: 'yes'}}}}", "expected true or false"),
    (f"acme: {{{ACME}, aal: {{aal2: x, aal3: [x]}}}}", "an acr value has two levels"),
    (f"acme: {{{ACME}, aal: {{aal4: x}}}}", "expected one of aal1, aal2, aal3"),
    (f"acme: {{{ACME}, endpoints: {{token: 'http://id.example'}}}}", "expected an https URL"),
    (f"acme: {{{ACME}}}, other: {{{ACME}}}", "could get the same identity ID"),
    (f"a: {{{ACME}, identity: {{id: '{{provider}}/{{sub}}'}}}}, b: {{{ACME}, identity: {{id: '{{provider}}/{{sub}}'}}}}", None),
    *[
        (f"{a}: {{{ACME}, identity: {{id: '{one}'}}}}, {b}: {{{ACME}, identity: {{id: '{two}'}}}}", why)
        for a, one, b, two, why in (
            ("a", "{{provider}}:{sub}", "b", "{{provider}}:{sub}", "could get the same"),
            ("a", "{provider}{sub}", "ab", "{provider}{sub}", "could get the same"),
            ("a", "{sub}-{provider}", "b-a", "{sub}-{provider}", "could get the same"),
            ("a", "{sub}", "b", "b:{sub}", "could get the same"),
            ("a", "{provider}", "b", "{provider}:{sub}", "every user would get the same"),
            ("a", "{provider}:{sub}", "ab", "{provider}:{sub}", None),
            ("a", "{sub}@{provider}", "ab", "{sub}@{provider}", None),
            ("a", "staff:{sub}", "b", "guest:{sub}", None),
        )
    ],
    (f"acme: {{{ACME}, identity: {{id: '{{{{sub}}}}'}}}}", "every user would get the same"),
    (f"'a/b': {{{ACME}}}", "expected a name"),
    (f"acme: {{{ACME}, authorization_parameters: {{access_type: offline, prompt: consent}}}}", None),
    *[
        (f"acme: {{{ACME}, authorization_parameters: {{{text}}}}}", why)
        for text, why in (
            ("state: x", "the gateway sets state itself"),
            ("redirect_uri: 'https://evil.example'", "the gateway sets redirect_uri itself"),
            ("code_challenge_method: plain", "the gateway sets code_challenge_method itself"),
            ("response_mode: form_post", "the gateway sets response_mode itself"),
            ("request_uri: 'urn:x'", "the gateway sets request_uri itself"),
            ("scope: admin", "use scopes"),
            ("max_age: '60'", "use require: {authenticated_within"),
            ("client_secret: x", "client_secret does not belong into the address of a page"),
            ("prompt: 'login none'", "no user could sign in"),
            ("a: ''", "expected one line of text"),
            ("a: 1", "text"),
        )
    ],
    (f"acme: {{{ACME}, initiate_login: 'yes'}}", "expected true or false"),
    (f"acme: {{{ACME}, accept: {{audience: 'https://api.example'}}}}", None),
    (f"acme: {{{ACME}, accept: {{audience: [a, b], issuer: 'https://sts.example/t/', max_lifetime: 7d}}}}", None),
    (f"acme: {{{ACME}, accept: {{}}}}", "audience"),
    (f"acme: {{{ACME}, accept: true}}", "expected a mapping"),
    (f"acme: {{{ACME}, accept: {{audience: []}}}}", "at least one"),
    (f"acme: {{{ACME}, accept: {{audience: ''}}}}", "expected one line of text"),
    (f"acme: {{{ACME}, accept: {{audience: a, issuer: ''}}}}", "expected one line of text"),
    (f"acme: {{{ACME}, accept: {{audience: a, max_lifetime: 8d}}}}", "use 7d or less"),
    *[
        (
            f"a: {{{ACME}, identity: {{id: 'a:{{sub}}'}}, accept: {{audience: [one, two]}}}}, "
            f"b: {{{ACME}, identity: {{id: 'b:{{sub}}'}}, accept: {other}}}",
            why,
        )
        for other, why in (
            ("{audience: [two]}", "a accepts the same tokens"),
            ("{audience: [three]}", None),
            ("{audience: [two], issuer: other}", None),
            ("{audience: [three, one], issuer: 'https://id.example'}", "a accepts the same tokens"),
        )
    ],
]  # fmt: skip


KEY32 = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
K1 = f"{{id: k1, key: '{KEY32}'}}"
RENEWING: list[tuple[str, str, str | None]] = [
    ("15m", f"[{K1}]", None),
    ("15m", "[]", "refresh requires sign_in.encryption_keys"),
    ("5s", f"[{K1}]", "use 30s or more"),
    ("15m", f"[{K1}, {K1}]", "two keys have the same id"),
    ("15m", "[{id: k1, key: 'MTEx'}]", "expected 32 bytes in base64"),
    ("15m", "[{id: k1, key: 'not base64 of 32 bytes but as long!!'}]", "expected 32 bytes in base64"),
    ("15m", f"[{{id: 'k:1', key: '{KEY32}'}}]", "expected a name"),
]  # fmt: skip


@pytest.mark.parametrize(("refresh", "keys", "problem"), RENEWING)
def test_renewals_need_a_key(refresh: str, keys: str, problem: str | None) -> None:
    acme = f"providers: {{acme: {{{ACME}, refresh: {refresh}}}}}"
    found = "".join(problems_of(whole(f"sign_in: {{{acme}, encryption_keys: {keys}}}")))

    assert bool(found) is (problem is not None)
    assert problem is None or problem in found
    assert KEY32 not in found
    assert "MTEx" not in found


ONE_UPSTREAM = "upstreams: {app: {url: 'http://127.0.0.1:3001', token: %s}}"
OF_PROVIDERS: list[tuple[str, str, str | None]] = [
    ("{provider: acme}", "refresh: 15m", None),
    ("{provider: acme}", "timeout: 5s", "would expire: it has no refresh"),
    ("{provider: acm}", "refresh: 15m", 'there is no provider "acm"'),
    ("{profile: acme}", "refresh: 15m", "profile"),
    ("[acme]", "refresh: 15m", "there is no token profile"),
    ("acme", "refresh: 15m", 'there is no token profile "acme"'),
]  # fmt: skip


@pytest.mark.parametrize(("token", "refresh", "problem"), OF_PROVIDERS)
def test_an_upstream_may_get_the_token_of_a_provider(
    token: str, refresh: str, problem: str | None
) -> None:
    acme = f"providers: {{acme: {{{ACME}, {refresh}}}}}"
    route = "routes: [{match: /, rule: public, upstream: app}]"
    keys = f"sign_in: {{{acme}, encryption_keys: [{K1}]}}"
    found = "".join(
        problems_of("\n".join(("version: 1", keys, ONE_UPSTREAM % token, route)))
    )

    assert bool(found) is (problem is not None)
    assert problem is None or problem in found


def test_an_encryption_key_is_never_repeated() -> None:
    loaded = load(whole(f"sign_in: {{encryption_keys: [{K1}]}}"))

    assert KEY32 not in f"{loaded!r} {loaded.config!r}"
    assert KEY32 in secrets_of(loaded.config)


@pytest.mark.parametrize(("providers", "problem"), PROVIDERS)
def test_providers_are_checked(providers: str, problem: str | None) -> None:
    found = problems_of(whole(f"sign_in: {{providers: {{{providers}}}}}"))

    assert bool(found) is (problem is not None)
    assert problem is None or problem in "".join(found)


def test_providers_need_sessions_of_the_gateway() -> None:
    lines = (
        f"sign_in: {{providers: {{acme: {{{ACME}}}}}}}",
        "sessions: {format: django}",
    )

    assert "providers require sessions of the gateway" in "".join(
        problems_of(whole(*lines))
    )


def test_the_sign_in_page_is_that_of_the_providers_unless_it_is_set() -> None:
    provided = f"providers: {{acme: {{{ACME}}}}}"
    for line, url in (
        ("sign_in: {}", "/auth/login"),
        (f"sign_in: {{{provided}}}", "/.gateway/sign-in"),
        (f"sign_in: {{{provided}, url: /login}}", "/login"),
    ):
        config = load(whole(line)).config
        assert config.sign_in.url == config.sign_in.step_up == url


def test_a_client_secret_is_never_repeated() -> None:
    loaded = load(
        whole(f"sign_in: {{providers: {{a: {{{ACME}, client_secret: hunter2}}}}}}")
    )

    assert "hunter2" not in f"{loaded!r} {loaded.config!r}"
    assert "hunter2" in secrets_of(loaded.config)


WARNINGS = [
    pytest.param("sign_in: {providers: {a: {issuer: 'https://id.example', client_id: c, identity: {id: '{email}'}}}}", "2:86: the claim email may pass to another user", id="an e-mail address as id"),
    pytest.param("server: {admin: 0.0.0.0:9090}", "2:17: the admin listener is not on a loopback address", id="admin for all"),
    pytest.param("server: {authz: 'a:1', trusted_proxies: [10.0.0.1]}", "2:17: the authz listener is not on a loopback address", id="authz for all"),
    pytest.param("server: {authz: 'unix:/run/authz.sock'}", None, id="authz on a socket"),
    pytest.param("server: {trusted_proxies: [0.0.0.0/0]}", "2:28: every client can forge its own address", id="everyone is trusted"),
    pytest.param("server: {public_url: https://a.example}", None, id="nothing to say"),
    pytest.param("server: {public_url: https://a.example}\nredis: {url: embedded}", "3:14: embedded Redis is for development only", id="embedded Redis"),
    pytest.param("server: {public_url: https://a.example}\nsessions: {cookie: {secure: false}}", "3:29: browsers also send the session cookie without https", id="insecure cookie"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "warning"), WARNINGS)
def test_what_is_probably_not_meant_is_a_warning(
    line: str, warning: str | None
) -> None:
    warnings = [str(one) for one in load(whole(line)).warnings]

    assert len(warnings) == (warning is not None)
    assert all(one.startswith(f"g.yaml:{warning}") for one in warnings)


LOCAL = "server: {listen: '127.0.0.1:8080'}"
PUBLIC = "server: {listen: '0.0.0.0:8080'}"
PROXIED = "server: {listen: '127.0.0.1:8080', trusted_proxies: [127.0.0.1]}"
SOCKET = "server: {listen: ['unix:/run/g.sock', '127.0.0.1:8080']}"
NETWORKS = [
    pytest.param(LOCAL, "[10.0.0.0/8]", "no client is in this network", id="loopback listener"),
    pytest.param(LOCAL, "[127.0.0.0/8, '::1']", None, id="loopback networks"),
    pytest.param(PUBLIC, "[10.0.0.0/8]", None, id="public listener"),
    pytest.param(PROXIED, "[10.0.0.0/8]", None, id="behind a proxy"),
    pytest.param(SOCKET, "[10.0.0.0/8]", None, id="behind a socket"),
    pytest.param(PUBLIC, "[0.0.0.0/0]", "0.0.0.0/0 is every IPv4 address", id="everyone"),
    pytest.param(PUBLIC, "['::/0']", "::/0 is every IPv6 address", id="everyone by IPv6"),
    pytest.param(PUBLIC, "[10.0.0.0/8, 10.1.0.0/16]", "10.0.0.0/8 already includes this network", id="wider before"),
    pytest.param(PUBLIC, "[10.1.2.3, 10.0.0.0/8]", "10.0.0.0/8 already includes this network", id="wider after"),
    pytest.param(PUBLIC, "[10.0.0.0/8, 10.0.0.0/8]", "10.0.0.0/8 already includes this network", id="twice"),
    pytest.param(PUBLIC, "[10.0.0.0/8, '2001:db8::/32']", None, id="two families"),
]  # fmt: skip


@pytest.mark.parametrize(("server", "networks", "warning"), NETWORKS)
def test_networks_that_change_nothing_are_a_warning(
    server: str, networks: str, warning: str | None
) -> None:
    route = (
        f"{{match: /n, rule: public, upstream: app, require: {{networks: {networks}}}}}"
    )

    warnings = load(whole(server) + f"  - {route}\n").warnings

    found = [
        one for one in warnings if "network" in one.message or "IPv" in one.message
    ]
    assert len(found) == (warning is not None)
    assert all(warning is not None and warning in one.message for one in found)
    assert all(one.line == 7 and one.column > 60 for one in found)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=400), st.text(max_size=400).map(str.encode)))
@example(b"[" * 5000)
@example(b"{" * 5000)
@example(b"? [a]\n: b\n")
@example(b"a: &a [*a]")
@example(b"a: !!python/object/apply:os.system [id]")
@example(b"%TAG ! tag:x,2000:\n--- !x a")
@example(b"a: 1\n---\nb: 1\n")
@example(b'a: "\\ud800"')
@example(b"version: " + b"9" * 6000)
@example(b"\xff\xfe\x00")
@example(b"<<: {a: 1}")
@example(b"routes: {1: 2}\nupstreams: [3]\ntokens: {profiles: []}")
@example(b"*a : b")
def test_any_bytes_give_a_configuration_or_a_config_error(raw: bytes) -> None:
    try:
        assert isinstance(parse_config(raw, path=PATH, env={}), LoadedConfig)
    except ConfigError as error:
        str(error.problems[0])


_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 99999), st.text(max_size=8),
    st.sampled_from(["session", "auto", "public", "app", "10s", "/a", "{x}", "${X:-1}"]),
)  # fmt: skip
_KEYS = st.sampled_from(
    [
        "server",
        "listen",
        "admin",
        "tls",
        "limits",
        "redis",
        "url",
        "sessions",
        "cookie",
        "name",
        "secure",
        "sign_in",
        "roles",
        "admin",
        "tenants",
        "resolve",
        "tokens",
        "profiles",
        "keys",
        "claims",
        "identity_headers",
        "match",
        "path",
        "methods",
        "rule",
        "require",
        "upstream",
        "a",
    ]
)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "version",
                "server",
                "redis",
                "sessions",
                "sign_in",
                "roles",
                "tenants",
                "tokens",
                "identity_headers",
                "upstreams",
                "routes",
                "log",
                "pages",
            ]
        ),
        _TREES,
    )
)
def test_any_structure_gives_a_configuration_or_a_config_error(tree: object) -> None:
    import json

    try:
        load(json.dumps(tree, ensure_ascii=False))
    except ConfigError as error:
        str(error.problems[0])
