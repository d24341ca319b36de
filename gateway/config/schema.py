"""The schema of the configuration: names, defaults and descriptions.

Attribute names are the keys of the file. A model that exists is legal by itself;
what only the whole can tell is in `gateway.config.checks`. The descriptions are
the manual: the JSON Schema and docs/configuration.md are made from them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from gateway.config import fields, patterns, values
from gateway.config.diagnostic import expected, one_of
from gateway.config.fields import TenantSource
from gateway.config.values import KIB, MIB, Secret
from gateway.http.target import OPT_IN
from gateway.outbound import PRESETS
from gateway.sessions.formats.profiles import LIBRARIES
from gateway.sessions.redis.url import RedisAddress, parse_redis_url


def _in_schema(**schema: Any) -> WithJsonSchema:
    return WithJsonSchema(schema)


_ANY_TEXT = _in_schema(type="string")
_LIST = BeforeValidator(values.one_or_many)


def _or_list(item: Mapping[str, Any]) -> WithJsonSchema:
    many = {"type": "array", "items": dict(item), "minItems": 1}
    return _in_schema(anyOf=[dict(item), many])


Text = Annotated[str, PlainValidator(values.text), _ANY_TEXT]
Name = Annotated[str, PlainValidator(fields.name), _ANY_TEXT]
CookieName = Annotated[str, PlainValidator(fields.cookie_name), _ANY_TEXT]
StrippedHeader = Annotated[str, PlainValidator(fields.stripped_header), _ANY_TEXT]
HeaderName = Annotated[str, PlainValidator(fields.header_name), _ANY_TEXT]
Link = Annotated[str, PlainValidator(values.link), _ANY_TEXT]
Origin = Annotated[str, PlainValidator(values.origin), _ANY_TEXT]
Listen = Annotated[str, PlainValidator(values.listen), _ANY_TEXT]
FilePath = Annotated[str, PlainValidator(values.file_path), _ANY_TEXT]
PathPattern = Annotated[str, PlainValidator(patterns.path_pattern), _ANY_TEXT]
Duration = Annotated[
    float,
    PlainValidator(values.duration),
    _in_schema(type="string", pattern=r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"),
]
Size = Annotated[
    int,
    PlainValidator(values.size),
    _in_schema(
        anyOf=[
            {"type": "string", "pattern": r"^[0-9]+(B|kB|KB|KiB|MB|MiB|GB|GiB)$"},
            {"type": "integer", "minimum": 0},
        ]
    ),
]
Percent = Annotated[int, Field(ge=1, le=100)]
Many = Annotated[int, Field(ge=1, le=1_000_000)]
Listeners = Annotated[
    tuple[Listen, ...], _LIST, Field(min_length=1), _or_list({"type": "string"})
]
UpstreamUrl = Annotated[str, PlainValidator(values.upstream_url), _ANY_TEXT]
UpstreamUrls = Annotated[
    tuple[UpstreamUrl, ...], _LIST, Field(min_length=1), _or_list({"type": "string"})
]


Networks = Annotated[
    tuple[Annotated[str, PlainValidator(values.network), _ANY_TEXT], ...],
    Field(max_length=1000),
]


class Model(BaseModel):
    """One mapping of the file: no unknown key, no guess about types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True
    )


def _workers(value: Any) -> Any:
    if value == "auto" or (type(value) is int and 1 <= value <= _MOST_WORKERS):
        return value
    raise expected("a whole number from 1 to 1024, or auto")


def _secure(value: Any) -> Any:
    if value == "auto" or isinstance(value, bool):
        return value
    raise expected("true, false or auto")


_MOST_WORKERS = 1024
FOREIGN_FORMATS = tuple(LIBRARIES)


def _version(value: Any) -> Any:
    if type(value) is not int or value != 1:
        raise expected("1, the version of this language")
    return value


def _format(value: Any) -> Any:
    known = ("gateway", *FOREIGN_FORMATS)
    if not isinstance(value, str) or value not in known:
        raise one_of(value, known)
    return value


class Tls(Model):
    """Server certificate of the gateway."""

    certificate: FilePath = Field(description="PEM file: certificate and chain.")
    key: FilePath = Field(description="PEM file: the private key.")


class Limits(Model):
    """Maximum sizes and counts."""

    header_bytes: Size = Field(
        32 * KIB, description="Size of request line and headers; above: 431."
    )
    body_bytes: Size = Field(
        64 * MIB,
        description="Size of a request body, which is streamed; above: 413. 0: no limit.",
    )
    connections: Many = Field(
        10_000,
        description="Concurrent client connections per process, TLS handshakes included.",
    )
    address_percent: Percent = Field(
        50,
        description="Percentage of the client connections, and of each upstream's "
        "connections, that one client address may hold; less when they run "
        "short. IPv6 addresses count by /64. `100`: no limit.",
    )
    identity_percent: Percent = Field(
        25,
        description="Percentage of each upstream's connections that one identity may hold; "
        "less when they run short. `100`: no limit.",
    )


class ServerTimeouts(Model):
    """How long the gateway waits for clients."""

    request_headers: Duration = Field(
        10.0, description="Until the headers of a request have arrived."
    )
    keepalive: Duration = Field(
        75.0, description="Until the next request on an open connection."
    )
    drain: Duration = Field(
        30.0,
        description="From the stop signal to the exit; requests in progress get nine tenths"
        " of it.",
    )


class Guessing(Model):
    """Limits for failed attempts by client address; above: 429.

    A valid session always passes. Addresses: IPv4, or IPv6 by /64. Per process.
    """

    failed_lookups: Many = Field(
        60,
        description="Unknown or wrongly signed session cookies in one `window`; a repeated "
        "cookie counts once.",
    )
    failed_sign_ins: Many = Field(
        30, description="Failed sign-ins (POST requests) in one `window`."
    )
    window: Duration = Field(
        60.0, description="Time in which used attempts are restored."
    )
    exempt: Networks = Field(
        (), description="Networks (CIDR) or addresses that are never limited."
    )


class Server(Model):
    """Listeners, limits and timeouts of the gateway."""

    listen: Listeners = Field(
        ("127.0.0.1:8080",),
        description="`host:port`, `[v6]:port` or `unix:/path`; or a list of them.",
    )
    admin: Listen | None = Field(
        "127.0.0.1:9090",
        description="Listener for health checks, metrics and the admin API; do not expose "
        "it publicly. `null`: none.",
    )
    public_url: Origin = Field(
        "http://localhost:8080",
        description="External URL, used for cookies and absolute redirects.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Networks allowed to set X-Forwarded-* and Forwarded headers; empty: "
        "none.",
    )
    tls: Tls | None = Field(
        None,
        description="`{certificate: server.pem, key: server.key}`; `null`: no TLS.",
    )
    workers: Annotated[
        int | Literal["auto"],
        PlainValidator(_workers),
        _in_schema(anyOf=[{"type": "integer", "minimum": 1}, {"const": "auto"}]),
    ] = Field(
        1, description="Number of processes that share the ports; `auto`: one per CPU."
    )
    admin_hosts: Annotated[
        tuple[Annotated[str, PlainValidator(fields.admin_host), _ANY_TEXT], ...],
        Field(max_length=100),
    ] = Field(
        (),
        description="Host names that the admin listener accepts, `*.` for all below one; IP"
        " addresses, `localhost`, names without a dot and the hosts of `admin` "
        "and `public_url` are always accepted.",
    )
    admin_token: (
        Annotated[Secret, PlainValidator(values.admin_token), _ANY_TEXT] | None
    ) = Field(
        None,
        description="Bearer token of the admin API, at least 16 characters; `null`: the "
        "admin API is disabled.",
    )
    guessing: Guessing | None = Field(
        Guessing(), description="Limits for failed attempts; `null`: none."
    )
    limits: Limits = Field(Limits(), description="Sizes and counts.")
    timeouts: ServerTimeouts = Field(ServerTimeouts(), description="Timeouts.")


class Redis(Model):
    """The session store."""

    url: Annotated[Secret, PlainValidator(values.redis_url), _ANY_TEXT] = Field(
        Secret("redis://127.0.0.1:6379/0"),
        description="`embedded`, `redis://`, `rediss://`, `unix://`, "
        "`redis+sentinel://h:p,h:p/name` or `redis+cluster://h:p,h:p`. May "
        "contain user and password, percent-encoded.",
    )
    username: Text | None = Field(
        None, description="Redis ACL user; default: that of the URL."
    )
    password: Annotated[Secret, PlainValidator(values.password), _ANY_TEXT] | None = (
        Field(
            None,
            description="Redis password, not percent-encoded; default: that of the URL.",
        )
    )
    timeout: Duration = Field(
        0.25, description="For one response of Redis; above: 503."
    )

    @property
    def address(self) -> RedisAddress | None:
        """Where Redis is, with user and password; None if it is embedded."""
        url = self.url.get_secret_value()
        if url == "embedded":
            return None
        address = parse_redis_url(url)
        if self.username is not None:
            address = replace(address, username=self.username)
        if self.password is not None:
            address = replace(address, password=self.password.get_secret_value())
        return address


class SessionCookie(Model):
    """The cookie that carries the session token."""

    name: CookieName = Field(
        "gateway_session",
        description="Becomes `__Host-<name>` if the cookie is secure and has no domain.",
    )
    secure: Annotated[
        bool | Literal["auto"],
        PlainValidator(_secure),
        _in_schema(enum=[True, False, "auto"]),
    ] = Field(
        "auto",
        description="Whether the cookie has the Secure attribute; `auto`: if "
        "`server.public_url` is https.",
    )
    same_site: Literal["strict", "lax", "none"] = Field(
        "lax", description="SameSite attribute; `none` requires a secure cookie."
    )
    domain: Annotated[str, PlainValidator(fields.domain), _ANY_TEXT] | None = Field(
        None,
        description="Domain with whose hosts the cookie is shared; `null`: only the current"
        " host.",
    )
    persistent: bool = Field(
        True, description="Whether the cookie is kept when the browser closes."
    )
    value: Literal["plain", "percent", "base64"] | None = Field(
        None,
        description="Encoding of the cookie value; default: that of the library. Only for a"
        " `format` other than `gateway`.",
    )


class Sessions(Model):
    """Lifetime and cookie of sessions."""

    format: Annotated[
        str,
        PlainValidator(_format),
        _in_schema(enum=["gateway", *FOREIGN_FORMATS]),
    ] = Field(
        "gateway",
        description="What writes the sessions: `gateway`, or a library in an app, whose "
        "sessions are read (docs/session-formats.md): `better-auth`, "
        "`express-session`, `flask-session`, `django`, `starsessions`, "
        "`aiohttp-session`, `authjs`, `lucia`; `json`: defined by `profile`.",
    )
    cookie: SessionCookie = Field(SessionCookie(), description="The session cookie.")
    lifespan: Duration = Field(
        86400.0, description="Lifetime per sign-in or extension."
    )
    idle_timeout: Duration | None = Field(
        None, description="Time without use after which a session ends; `null`: none."
    )
    extend_within: Duration | None = Field(
        None,
        description="A request within this time before the end extends the session by one "
        "lifespan; `null`: no extension.",
    )
    max_per_identity: Many | None = Field(
        None,
        description="Maximum number of sessions per identity; the oldest ends first. "
        "`null`: no limit.",
    )
    secrets: (
        tuple[Annotated[Secret, PlainValidator(values.secret), _ANY_TEXT], ...] | None
    ) = Field(
        None,
        description="Other formats: secrets with which the app signs its cookie, in the "
        "order of its library.",
    )
    key_prefix: Annotated[str, PlainValidator(values.prefix), _ANY_TEXT] | None = Field(
        None,
        description="Other formats: prefix of the Redis keys, before the ID; default: that "
        "of the library.",
    )
    profile: dict[str, Any] | None = Field(
        None,
        description="Other formats: differences between the app and the defaults of its "
        "library; for `json`, the whole format.",
    )
    allow_pickle: bool | None = Field(
        None,
        description="`django` and `flask-session`: read pickled records, without executing "
        "them.",
    )
    remember_ended: Duration = Field(
        31 * 86400.0,
        description="Other formats: minimum time for which the gateway remembers ended "
        "sessions. Not shorter than the app's longest session.",
    )

    @property
    def external(self) -> bool:
        """Whether another program writes the sessions."""
        return self.format != "gateway"


class SignIn(Model):
    """Redirect targets for browsers."""

    url: Link = Field(
        "/auth/login", description="Redirect target for browsers without a session."
    )
    return_to: CookieName = Field(
        "return_to", description="Query parameter with the return address."
    )
    home: Link | None = Field(
        "/", description="Redirect target for signed-in users on auth-redirect routes."
    )
    no_tenant: Link | None = Field(
        None,
        description="Redirect target for users without a tenant on routes that require one;"
        " `null`: 403.",
    )
    step_up: Link = Field(
        default_factory=lambda known: known.get("url", "/auth/login"),
        description="Redirect target if a sign-in is older than `authenticated_within`; "
        "default: `sign_in.url`.",
    )
    allowed_return_urls: tuple[Origin, ...] = Field(
        (),
        description="Other origins allowed as return addresses; the gateway's own origin "
        "always is.",
    )


class Roles(Model):
    """Meaning of roles."""

    admin: tuple[Text, ...] = Field(
        ("admin",), description="Roles that `admin-only` routes allow."
    )


class Tenants(Model):
    """How a request selects its tenant; membership is always checked."""

    resolve: Annotated[
        tuple[
            Annotated[
                TenantSource,
                PlainValidator(fields.tenant_source),
                _in_schema(
                    anyOf=[
                        {"const": "session"},
                        *(
                            {
                                "type": "object",
                                "properties": {key: {"type": "string"}},
                                "required": [key],
                                "additionalProperties": False,
                            }
                            for key in ("host", "path", "header")
                        ),
                    ]
                ),
            ],
            ...,
        ],
        Field(min_length=1),
    ] = Field(
        (TenantSource(source="session"),),
        description='A list of `session`, `{host: "{tenant}.example.com"}`, `{path: '
        '"/t/{tenant}/**"}`, `{header: X-Tenant}`. The first source with a '
        "tenant is used; a request with two different tenants is rejected.",
    )


class Profile(Model):
    """Audience, header and claims of a token."""

    audience: Text = Field(description="The `aud` claim.")
    header: HeaderName | None = Field(
        None,
        description='Request header for the token; `Authorization` is sent as "Bearer '
        '<jwt>".',
    )
    cookie: CookieName | None = Field(
        None, description="Cookie that also sends the token to the browser, HttpOnly."
    )
    claims: Annotated[
        dict[str, Any],
        PlainValidator(patterns.claims),
        _in_schema(type="object", additionalProperties=True),
    ] = Field(
        {},
        description="Custom claims: literals, lists, or text with placeholders such as "
        "`{tenant.id}`.",
    )


class Tokens(Model):
    """Signed, short-lived tokens for upstreams and databases."""

    issuer: Text | None = Field(
        None, description="The `iss` claim; default: `server.public_url`."
    )
    algorithm: Literal["ES256", "EdDSA", "RS256", "HS256"] = Field(
        "ES256", description="Signature algorithm."
    )
    keys: Annotated[str, PlainValidator(values.keys_place), _ANY_TEXT] = Field(
        "embedded",
        description="Folder of PEM files created by `gateway keys new`; `embedded`: created"
        " at startup, for evaluation.",
    )
    lifetime: Duration = Field(60.0, description="Lifetime of a token.")
    profiles: dict[Name, Profile] = Field({}, description="Token profiles by name.")


class UpstreamTimeouts(Model):
    """How long the gateway waits for an upstream."""

    connect: Duration = Field(2.0, description="Until a connection is established.")
    response_headers: Duration = Field(
        60.0, description="Until the response head arrives."
    )
    idle: Duration = Field(300.0, description="Between two parts of a response.")
    request_body: Duration = Field(
        default_factory=lambda known: min(30.0, known.get("idle", 30.0)),
        description="Between two parts of a request body, and before `body_rate` applies; "
        "above: 408. Default: 30s, or `idle` if that is less.",
    )
    lifetime: Duration = Field(
        300.0,
        description="Maximum age of an idle connection for reuse. Requests in progress and "
        "WebSockets are not interrupted.",
    )


class UpstreamTls(Model):
    """Verification of an https upstream, and the client certificate."""

    ca: FilePath | None = Field(
        None,
        description="PEM file of certificate authorities; default: those of the system.",
    )
    certificate: FilePath | None = Field(
        None, description="PEM file of the client certificate."
    )
    key: FilePath | None = Field(None, description="PEM file of its key.")
    server_name: Text | None = Field(
        None,
        description="Server name for SNI and verification; default: the host of the URL.",
    )


class Upstream(Model):
    """An app behind the gateway."""

    url: UpstreamUrls = Field(
        description="`http://host:port`, `https://host:port`, `unix:/path`, or a list: "
        "load-balanced, with passive health checks.",
    )
    token: Name | None = Field(None, description="Token profile for its requests.")
    session_cookie: Literal["strip", "forward"] = Field(
        "strip", description="Whether the session cookie is forwarded."
    )
    may_sign_in: bool = Field(
        False,
        description="Whether its X-Gateway-Sign-In and X-Gateway-Sign-Out response headers "
        "are applied.",
    )
    preserve_host: bool = Field(
        True, description="Whether the browser's Host header is forwarded."
    )
    strip_prefix: (
        Annotated[str, PlainValidator(patterns.strip_prefix), _ANY_TEXT] | None
    ) = Field(None, description="Path prefix to remove, such as `/api`.")
    strip_headers: tuple[StrippedHeader, ...] = Field(
        (),
        description="Client headers to remove, in any spelling; `X-Corp-*`: all with this "
        "prefix. Identity and forwarding headers are always removed.",
    )
    max_connections: Many | None = Field(
        None,
        description="Concurrent connections per process, WebSockets included; `null`: same "
        "as `server.limits.connections`.",
    )
    body_rate: Size = Field(
        500,
        description="Minimum average rate of a request body in bytes per second, after the "
        "first `timeouts.request_body`; `0`: none.",
    )
    timeouts: UpstreamTimeouts = Field(UpstreamTimeouts(), description="Timeouts.")
    tls: UpstreamTls | None = Field(None, description="TLS settings for https URLs.")


class RouteMatch(Model):
    """Requests that a route matches."""

    path: PathPattern = Field(
        description="Literal segments, `{one}` segment, and a last `/**` for this and "
        "everything below.",
    )
    host: Annotated[str, PlainValidator(fields.host_pattern), _ANY_TEXT] | None = Field(
        None,
        description="`app.example.com`, `*.example.com` or `{tenant}.example.com`; `null`: any.",
    )
    methods: (
        Annotated[
            tuple[
                Annotated[
                    str,
                    PlainValidator(fields.method),
                    _in_schema(enum=list(fields.METHODS)),
                ],
                ...,
            ],
            Field(min_length=1),
        ]
        | None
    ) = Field(None, description="`null`: any. GET includes HEAD.")


class Require(Model):
    """Additional requirements of a route."""

    roles: tuple[Text, ...] = Field(
        (), description="One of these roles in the session."
    )
    tenant: bool = Field(False, description="An active tenant.")
    tenant_roles: tuple[Text, ...] = Field(
        (), description="One of these roles in the active tenant."
    )
    authenticated_within: Duration | None = Field(
        None, description="Maximum age of the sign-in."
    )
    aal: Literal["aal1", "aal2", "aal3"] | None = Field(
        None, description="Minimum authenticator assurance level."
    )
    networks: Networks = Field(
        (),
        description="Networks (CIDR) or addresses, one of which contains the client. "
        "Applies to every rule, including `public`.",
    )


def _match(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _forbidden(value: Any) -> str:
    if isinstance(value, int) and value in {403, 404}:
        return str(value)
    if value in {"403", "404"}:
        return str(value)
    if isinstance(value, str) and value.startswith("/"):
        return values.link(value)
    raise expected("403, 404 or a path")


class RouteConfig(Model):
    """One route. The most specific one applies; order in the file does not affect matching."""

    id: Name | None = Field(
        None, description="Name in logs and metrics; default: derived from `match`."
    )
    match: Annotated[
        RouteMatch,
        BeforeValidator(_match, json_schema_input_type=RouteMatch | str),
    ] = Field(description="A path, or `{path, host, methods}`.")
    rule: Literal["public", "protected", "admin-only", "auth-redirect"] = Field(
        description="`public`: all requests. `protected`: a valid session. `admin-only`: a "
        "session with a role of `roles.admin`. `auth-redirect`: only "
        "unauthenticated requests.",
    )
    require: Require = Field(Require(), description="Additional requirements.")
    session: Literal["validate", "ignore"] = Field(
        "validate", description="`ignore`: no session look-up; only with `public`."
    )
    unauthenticated: Literal["auto", "redirect", "status"] = Field(
        "auto",
        description="Without a session: `redirect` to sign-in, `status` 401, or "
        "`auto`: a redirect for browsers.",
    )
    preflight: Literal["check", "pass"] = Field(
        "check", description="`pass`: CORS preflights are forwarded unauthenticated."
    )
    forbidden: Annotated[
        str, PlainValidator(_forbidden), _in_schema(type=["string", "integer"])
    ] = Field(
        "403",
        description="Response if access is denied: `403`, `404`, or a path to redirect to.",
    )
    cross_site: Literal["allow", "refuse"] = Field(
        "allow", description="Unsafe methods from other sites: `allow` or `refuse`."
    )
    path_allows: tuple[
        Annotated[str, PlainValidator(fields.escape), _in_schema(enum=list(OPT_IN))],
        ...,
    ] = Field(
        (),
        description="Ambiguous encodings that the upstream does not decode.",
    )
    upstream: Name = Field(description="Name of the upstream.")


class Dns(Model):
    """DNS look-ups for upstreams and Redis (docs/upstreams.md)."""

    servers: Annotated[
        tuple[Annotated[str, PlainValidator(values.dns_server), _ANY_TEXT], ...],
        _LIST,
        Field(max_length=8),
        _in_schema(
            anyOf=[
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "maxItems": 8},
            ]
        ),
    ] = Field(
        (),
        description="DNS servers, `address` or `address:port`; default: those of "
        "`/etc/resolv.conf`.",
    )
    timeout: Duration = Field(
        5.0, description="For one look-up, including all servers and search domains."
    )
    max_ttl: Duration = Field(
        30.0,
        description="Addresses are cached for their TTL, at least 1 s and at most this.",
    )
    stale: Duration = Field(
        3600.0,
        description="Time for which expired addresses are used while look-ups hang or fail.",
    )


class Log(Model):
    """Log output: one JSON object per line, on standard output."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum level."
    )
    access: bool = Field(True, description="Whether each request is logged.")


class PagesConfig(Model):
    """Pages generated by the gateway."""

    folder: FilePath | None = Field(
        None,
        description="Folder of templates that replace built-in ones; `null`: none.",
    )


class Config(Model):
    """The whole configuration."""

    version: Annotated[Literal[1], PlainValidator(_version), _in_schema(const=1)] = (
        Field(description="Version of the configuration format: 1.")
    )
    server: Server = Field(Server(), description="Listeners, limits and timeouts.")
    redis: Redis = Field(Redis(), description="The session store.")
    sessions: Sessions = Field(Sessions(), description="Sessions and their cookie.")
    sign_in: SignIn = Field(default_factory=SignIn, description="Redirect targets.")
    roles: Roles = Field(Roles(), description="Meaning of roles.")
    tenants: Tenants = Field(Tenants(), description="How a request selects its tenant.")
    tokens: Tokens = Field(Tokens(), description="Tokens for upstreams.")
    identity_headers: Annotated[
        str | dict[str, str],
        PlainValidator(patterns.identity_headers),
        _in_schema(
            anyOf=[
                {"enum": list(PRESETS)},
                {"type": "object", "additionalProperties": {"type": "string"}},
            ]
        ),
    ] = Field(
        "gateway",
        description="Headers sent to upstreams: a preset, or a mapping of header names to "
        'text such as `"{identity.traits.email}"`.',
    )
    upstreams: Annotated[dict[Name, Upstream], Field(min_length=1)] = Field(
        description="The apps, by name."
    )
    routes: Annotated[tuple[RouteConfig, ...], Field(min_length=1)] = Field(
        description="The routes; order does not affect matching."
    )
    dns: Dns = Field(Dns(), description="Look-ups of host names.")
    log: Log = Field(Log(), description="Log output.")
    pages: PagesConfig = Field(
        PagesConfig(), description="Pages generated by the gateway."
    )

    @property
    def cookie_is_secure(self) -> bool:
        """Whether the session cookie is sent over https only."""
        secure = self.sessions.cookie.secure
        return (
            self.server.public_url.startswith("https:") if secure == "auto" else secure
        )

    @property
    def token_issuer(self) -> str:
        """The `iss` claim."""
        return self.tokens.issuer or self.server.public_url
