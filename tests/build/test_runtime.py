"""From a configuration file to what serves by it."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.build.ring import build_ring
from gateway.build.routes import routes_from
from gateway.build.rules import (
    build_cookie,
    build_lifetimes,
    build_policy,
    build_tenant_sources,
    owns_jwks,
    public_host,
)
from gateway.build.runtime import build_runtime
from gateway.build.session_format import format_from
from gateway.build.upstreams import build_view
from gateway.config.load import load_config
from gateway.decision import ExemptPage
from gateway.errors import ConfigError
from gateway.http.headers import line_of
from gateway.identity_headers import PRESETS
from gateway.outbound import TokenSlot
from gateway.reasons import Reason
from gateway.sessions.cookie import new_token
from gateway.tokens.key_files import embedded_ring
from gateway.tokens.minter import Minter
from tests.http.heads import head
from tests.server.parts import RING, a_runtime, loaded
from tests.sessions.samples import NOW, a_session

CONFIG = Path(__file__).parents[2] / "config"


# The files that we ship


@pytest.mark.parametrize(
    ("name", "cookie"),
    [
        ("better-auth.yaml", b"better-auth.session_token"),
        ("custom-format.yaml", b"sid"),
    ],
)
async def test_a_configuration_for_the_sessions_of_an_app_is_compiled(
    name: str, cookie: bytes
) -> None:
    file = load_config(CONFIG / name, env={})

    runtime = build_runtime(file, ring=RING, ticks=lambda: 0.0)

    assert runtime.rules.external is not None
    assert runtime.rules.cookie_name == runtime.rules.external.cookie_name == cookie
    # The app sets its cookie, and sees it where it is forwarded.
    assert cookie not in runtime.responses.own_cookies
    assert cookie in runtime.responses_unasked.own_cookies
    assert cookie not in runtime.applications["app"].view.stripped_cookies


def test_the_cookie_of_an_app_keeps_its_name_and_can_be_cleared() -> None:
    file = loaded(
        sessions={"format": "authjs", "cookie": {"domain": "app.example"}},
        server={"public_url": "https://app.example"},
    )

    cleared = build_cookie(file.config, format_from(file)).clear_cookie()

    name, *attributes = cleared.split("; ")
    assert name == "__Secure-authjs.session-token="
    assert {"Path=/", "Domain=app.example", "Secure", "Max-Age=0"} <= {*attributes}


def test_a_mistake_in_the_format_of_an_app_does_not_start() -> None:
    file = loaded(sessions={"format": "json", "cookie": {"name": "sid"}})

    with pytest.raises(ConfigError, match="set the pattern of a session id"):
        build_runtime(file, ring=RING, ticks=lambda: 0.0)


@pytest.mark.parametrize("name", ["gateway.yaml", "minimal.yaml", "demo.yaml"])
async def test_a_configuration_that_we_ship_is_compiled(name: str) -> None:
    file = load_config(CONFIG / name, env={})

    runtime = build_runtime(file, ring=RING, ticks=lambda: 0.0)

    assert len(runtime.rules.routes.routes) == len(file.config.routes)
    assert set(runtime.applications) == set(file.config.upstreams)
    assert {route.upstream for route in runtime.rules.routes.routes} <= set(
        runtime.applications
    )
    assert runtime.rules.cookie.wire_name in runtime.responses.own_cookies


async def test_the_reference_is_what_it_describes() -> None:
    file = load_config(CONFIG / "gateway.yaml", env={})

    runtime = build_runtime(file, ring=RING, ticks=lambda: 0.0)

    web, api = runtime.applications["web"], runtime.applications["api"]
    assert (
        runtime.rules.cookie_name == b"gateway_session"
    )  # not secure: it is plain HTTP
    assert (runtime.limits.header_bytes, runtime.limits.body_bytes) == (
        32 * 1024,
        64 * 1024 * 1024,
    )
    assert (
        runtime.rules.lifetimes.lifespan,
        runtime.rules.lifetimes.extend_within,
    ) == (
        86_400,
        21_600,
    )
    assert (web.may_sign_in, api.may_sign_in) == (True, False)
    assert [slot.header for slot in web.view.tokens] == [b"X-Auth-Assertion"]
    assert [slot.header for slot in api.view.tokens] == [b"Authorization"]
    assert (web.view.strip_prefix, api.view.strip_prefix) == (None, "/api")
    assert web.view.stripped_cookies == {b"gateway_session"}
    assert runtime.rules.token_cookies == {}
    assert len(runtime.rules.clear_cookies) == 1
    assert runtime.rules.owns_jwks


async def test_the_smallest_has_every_default() -> None:
    file = load_config(CONFIG / "minimal.yaml", env={})

    runtime = build_runtime(file, ring=RING, ticks=lambda: 0.0)

    view = runtime.applications["app"].view
    assert view.tokens == ()
    assert (view.preserve_host, view.own_host) == (True, b"127.0.0.1:3000")
    assert not runtime.applications["app"].may_sign_in
    assert dict(view.identity.fields).keys() == {
        name.encode() for name in PRESETS["gateway"]
    }


# Pages that the gateway sends a signed-in person to


def errands(**sign_in: Any) -> tuple[ExemptPage, ...]:
    pages = {"url": "/auth/login", "home": "/"} | sign_in
    return build_policy(loaded(sign_in=pages).config).exempt_pages


def errand(path: str, *query: str, host: str | None = None) -> ExemptPage:
    return ExemptPage(path=path, query=frozenset(query), host=host)


@pytest.mark.parametrize(
    ("sign_in", "expected"),
    [
        pytest.param(
            {}, {errand("/auth/login", "reason=step_up"), errand("/auth/login", "reason=aal_too_low")},
            id="the sign-in page itself, only with the reason",
        ),
        pytest.param(
            {"step_up": "/again"},
            {errand("/again", "reason=step_up"), errand("/again", "reason=aal_too_low")},
            id="a page without a query",
        ),
        pytest.param({"step_up": "/auth/login?refresh=true"}, {errand("/auth/login", "refresh=true")}, id="a query"),
        pytest.param({"step_up": "/a?b=c&d"}, {errand("/a", "b=c", "d")}, id="a longer query"),
        pytest.param({"step_up": "https://id.example/again?x"}, {errand("/again", "x", host="id.example")}, id="elsewhere"),
        pytest.param({"step_up": "https://app.example/again?x"}, {errand("/again", "x")}, id="here, in full"),
        pytest.param(
            {"step_up": "/a?b", "no_tenant": "/auth/choose"}, {errand("/a", "b"), errand("/auth/choose")},
            id="choose a tenant",
        ),
        pytest.param({"step_up": "/a?b", "no_tenant": "https://id.example/c"}, {errand("/a", "b"), errand("/c", host="id.example")}, id="chosen elsewhere"),
    ],
)  # fmt: skip
def test_errands_are_pages_of_our_own(
    sign_in: dict[str, str], expected: set[ExemptPage]
) -> None:
    assert set(errands(**sign_in)) == expected


@pytest.mark.parametrize(
    ("target", "covered"),
    [
        ("/auth/login", False),
        ("/auth/login?refresh=false", False),
        ("/auth/login?a=refresh=true", False),
        ("/auth/login/x?refresh=true", False),
        ("/auth/login?refresh=true&return_to=/x&reason=step_up", True),
    ],
)
def test_an_errand_is_known_by_its_query(target: str, covered: bool) -> None:
    (step_up,) = errands(step_up="/auth/login?refresh=true")

    assert step_up.covers(head(target=target)) is covered


def test_administrators_and_the_origin_are_those_of_the_file() -> None:
    policy = build_policy(loaded(roles={"admin": ["root", "ops"]}).config)

    assert policy.admin_roles == {"root", "ops"}
    assert policy.public_origin == "https://app.example"


# Cookies


@pytest.mark.parametrize(
    ("url", "cookie", "starts", "attributes"),
    [
        pytest.param("https://a.example", {}, "__Host-gateway_session=", {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"}, id="https"),
        pytest.param("http://a.example", {}, "gateway_session=", {"Path=/", "HttpOnly", "SameSite=Lax"}, id="http"),
        pytest.param("http://a.example", {"secure": True}, "__Host-gateway_session=", {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"}, id="secure behind a proxy"),
        pytest.param("https://a.example", {"domain": "a.example"}, "gateway_session=", {"Path=/", "Domain=a.example", "HttpOnly", "Secure", "SameSite=Lax"}, id="a domain"),
        pytest.param("https://a.example", {"same_site": "strict", "name": "sid"}, "__Host-sid=", {"Path=/", "HttpOnly", "Secure", "SameSite=Strict"}, id="a name"),
    ],
)  # fmt: skip
def test_the_session_cookie_is_as_strict_as_its_address_allows(
    url: str, cookie: dict[str, Any], starts: str, attributes: set[str]
) -> None:
    config = loaded(server={"public_url": url}, sessions={"cookie": cookie}).config

    written = build_cookie(config, None).set_cookie(new_token(bytes(32)), None)

    assert written.startswith(starts)
    assert set(written.split("; ")[1:]) == attributes


async def test_every_credential_has_its_cookie_and_all_are_cleared() -> None:
    runtime = a_runtime()

    assert runtime.responses.own_cookies == {b"__Host-gateway_session", b"api_jwt"}
    assert runtime.rules.token_cookies["database"].set("T.O.K") == (
        "api_jwt=T.O.K; Path=/; HttpOnly; Secure; SameSite=Lax"
    )
    assert runtime.rules.clear_cookies == (
        runtime.rules.cookie.clear_cookie(),
        "api_jwt=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax",
    )
    # A browser takes a cookie back only by the attributes that it was set with.
    token = runtime.rules.token_cookies["database"]
    assert (
        token.set("x").partition("; ")[2] == token.clear().partition("Max-Age=0; ")[2]
    )


@pytest.mark.parametrize(
    ("session_cookie", "stripped"),
    [
        ("strip", {b"__Host-gateway_session", b"api_jwt"}),
        ("forward", {b"api_jwt"}),
    ],
)
def test_the_session_cookie_goes_up_only_where_the_file_reports_it(
    session_cookie: str, stripped: set[bytes]
) -> None:
    """Law 12."""
    web = {"url": "http://127.0.0.1:1", "session_cookie": session_cookie}
    config = loaded(upstreams={"web": web, "api": web}).config

    view = build_view(
        config, "web", config.upstreams["web"], build_cookie(config, None)
    )

    assert view.stripped_cookies == stripped


# Views


def view_of(**changes: Any) -> Any:
    config = loaded(**changes).config
    return build_view(
        config, "web", config.upstreams["web"], build_cookie(config, None)
    )


@pytest.mark.parametrize(
    "identity", [*PRESETS, {"X-Who": "{identity.id}", "X-T": "{tenant.id}"}], ids=str
)
def test_no_upstream_takes_a_name_of_ours_from_a_client(identity: Any) -> None:
    """Law 2: the names of every preset, of the mapping, of every profile."""
    view = view_of(
        identity_headers=identity, tenants={"resolve": [{"header": "X-Tenant"}]}
    )
    mapping = PRESETS[identity] if isinstance(identity, str) else identity
    names = {
        *(name for preset in PRESETS.values() for name in preset),
        *mapping,
        "Authorization",
        "X-Auth-Assertion",
        "X-Tenant",
    }
    spelled = [
        line_of(spelling.encode(), b"root")
        for name in names
        for spelling in (
            name,
            name.upper(),
            name.lower().replace("-", "_"),
            name.replace("-", "."),
        )
    ]

    accept = line_of(b"Accept", b"*/*")

    assert view.header_filter.strip([*spelled, accept]) == [accept.wire]


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_preset_sends_the_identity(preset: str) -> None:
    session = a_session()
    view = view_of(identity_headers=preset)

    lines = dict(view.identity.render(session, session.tenants["t_acme"]))

    reported = {b"u_ada", b"ada@example.com", b"Ada", b"admin", b"t_acme", b"owner"}
    assert set(lines) == {name.encode() for name in PRESETS[preset]}
    assert set(lines.values()) <= reported | {session.id.encode()}


@pytest.mark.parametrize(
    ("header", "written"),
    [
        pytest.param("authorization", b"Authorization", id="bearer"),
        pytest.param("x-jwt", b"x-jwt", id="its own"),
        pytest.param(None, None, id="none"),
    ],
)
def test_the_tokens_header_is_that_of_the_profile(
    header: str | None, written: bytes | None
) -> None:
    profiles = {"p": {"audience": "a", "header": header, "cookie": "jwt"}}
    web = {"url": "http://127.0.0.1:1", "token": "p"}

    view = view_of(tokens={"profiles": profiles}, upstreams={"web": web, "api": web})

    assert view.tokens == (TokenSlot(profile="p", header=written),)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        pytest.param("http://app.internal:3000", b"app.internal:3000", id="port"),
        pytest.param("http://app.internal", b"app.internal", id="no port"),
        pytest.param(["http://10.0.0.1:1", "http://10.0.0.2:1"], b"10.0.0.1:1", id="the first"),
    ],
)  # fmt: skip
def test_an_upstreams_own_host_is_that_of_its_address(url: Any, host: bytes) -> None:
    web = {"url": url, "preserve_host": False}

    view = view_of(upstreams={"web": web, "api": web})

    assert (view.preserve_host, view.own_host) == (False, host)


async def test_tls_that_cannot_be_used_is_reported_with_its_line(
    tmp_path: Path,
) -> None:
    tls = {"ca": str(tmp_path / "no.pem")}
    bad = {"url": "https://app.internal", "tls": tls}

    with pytest.raises(
        ConfigError, match=r"gateway\.yaml:\d+:\d+: TLS of this upstream"
    ):
        a_runtime(upstreams={"web": bad, "api": bad})


# The rest


@pytest.mark.parametrize(
    ("sources", "named"),
    [
        pytest.param(["session"], ["t_acme"], id="session"),
        pytest.param([{"host": "{tenant}.app.example"}], ["t1"], id="host"),
        pytest.param([{"path": "/t/{tenant}/**"}], ["t2"], id="path"),
        pytest.param([{"header": "X-Tenant"}], ["t3"], id="header"),
        pytest.param([{"header": "X-Tenant"}, "session"], ["t3", "t_acme"], id="in order"),
    ],
)  # fmt: skip
def test_tenants_are_named_by_what_the_file_says(
    sources: list[Any], named: list[str]
) -> None:
    request = head(("X-Tenant", "t3"), host="t1.app.example", target="/t/t2/x")

    built = build_tenant_sources(loaded(tenants={"resolve": sources}).config)

    assert [source(a_session(), request) for source in built] == named


@pytest.mark.parametrize("name", ["X-Forwarded-Tenant", "Proxy-Tenant", "X_Real_Ip"])
async def test_a_header_that_no_client_may_send_names_no_tenant(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"gateway\.yaml:18:\d+: .*{name}"):
        a_runtime(tenants={"resolve": ["session", {"header": name}]})


@pytest.mark.parametrize(
    ("paths", "ours"),
    [
        pytest.param(["/**"], True, id="all is not a claim"),
        pytest.param(["/**", "/.well-known/**"], False, id="the folder"),
        pytest.param(["/**", "/.well-known/jwks.json"], False, id="the file"),
        pytest.param(["/**", "/.well-known/security.txt"], True, id="another file"),
    ],
)
async def test_a_route_may_claim_the_place_of_the_keys(
    paths: list[str], ours: bool
) -> None:
    routes = [{"match": path, "rule": "public", "upstream": "web"} for path in paths]

    assert owns_jwks(routes_from(loaded(routes=routes))) is ours
    assert a_runtime(routes=routes).rules.owns_jwks is ours


async def test_whom_to_believe_is_compiled() -> None:
    server = {
        "public_url": "https://app.example",
        "listen": ["127.0.0.1:8080", "unix:/run/g.sock"],
        "trusted_proxies": ["10.0.0.0/8", "fd00::/8"],
    }
    rules = a_runtime(server=server).head_rules
    plain = a_runtime().head_rules

    assert [rules.trusts(peer) for peer in ("10.1.2.3", "fd00::1", "")] == [True] * 3
    assert [rules.trusts(peer) for peer in ("11.1.2.3", "unknown")] == [False] * 2
    assert [plain.trusts(peer) for peer in ("10.1.2.3", "127.0.0.1", "")] == [False] * 3


def test_lifetimes_are_those_of_the_file() -> None:
    sessions = {"lifespan": "2h", "idle_timeout": "30m", "extend_within": None}

    lifetimes = build_lifetimes(loaded(sessions=sessions).config)

    assert (lifetimes.lifespan, lifetimes.idle_timeout, lifetimes.extend_within) == (
        7200,
        1800,
        None,
    )


async def test_refusals_lead_to_the_pages_of_the_file() -> None:
    pages = {"url": "https://id.example/in", "return_to": "next", "home": "/start"}

    answers = a_runtime(sign_in=pages).rules.answers

    assert answers.realm == "app.example"
    assert answers.sign_in.login_location(head(target="/x"), Reason.NO_SESSION) == (
        "https://id.example/in?next=https%3A//app.example/x&reason=no_session"
    )
    assert answers.sign_in.after_sign_in(head()) == "/start"


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://App.Example:8443", "app.example"), ("http://[::1]:8080", "::1")],
)
def test_browsers_know_us_by_our_host(url: str, host: str) -> None:
    assert public_host(loaded(server={"public_url": url}).config) == host


# Keys


def test_a_reload_keeps_keys_that_only_memory_holds() -> None:
    first = build_ring(loaded(), now=NOW)

    again = build_ring(loaded(), now=NOW + 1, previous=first)

    assert again is first


def test_a_reload_makes_no_keys_that_other_processes_would_not_have() -> None:
    first = build_ring(loaded(), now=NOW)
    other = {"algorithm": "ES256", "issuer": "https://app.example"}
    changed = loaded(tokens=other, upstreams=BARE)

    with pytest.raises(ConfigError) as caught:
        build_ring(changed, now=NOW, previous=first)

    (problem,) = caught.value.problems
    assert "another algorithm needs a restart" in problem.message
    assert problem.line > 1


BARE = {name: {"url": "http://127.0.0.1:1"} for name in ("web", "api")}


def test_keys_that_are_not_there_are_reported_with_their_line() -> None:
    tokens = {"algorithm": "EdDSA", "keys": "/nowhere/at/all"}

    with pytest.raises(ConfigError) as caught:
        build_ring(loaded(tokens=tokens, upstreams=BARE), now=NOW)

    (problem,) = caught.value.problems
    assert problem.line > 1
    assert "/nowhere/at/all" in problem.message


async def test_the_ring_that_is_given_signs_and_is_published() -> None:
    ring = embedded_ring("EdDSA", now=NOW)

    runtime = build_runtime(loaded(), ring=ring, ticks=lambda: 0.0)

    published = {key["kid"] for key in orjson.loads(runtime.jwks)["keys"]}
    assert published == {key.kid for key in ring.keys}
    assert isinstance(runtime.rules.issuer, Minter)
    assert runtime.rules.issuer.ring is ring
