"""`server`: listeners, limits and timeouts."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from gateway.config import fields, secret_values
from gateway.config.diagnostic import expected
from gateway.config.quantities import KIB, MIB
from gateway.config.secret_values import Secret
from gateway.config.types import (
    ANY_TEXT,
    Duration,
    FilePath,
    Listen,
    Listeners,
    Many,
    Model,
    Networks,
    Origin,
    Percent,
    Size,
    in_schema,
)


def _workers(value: Any) -> Any:
    if value == "auto" or (type(value) is int and 1 <= value <= _MOST_WORKERS):
        return value
    raise expected("a whole number from 1 to 1024, or auto")


_MOST_WORKERS = 1024


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

    A valid session always passes, an access token of a provider if it was verified
    before. Addresses: IPv4, or IPv6 by /64. Per process.
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
    authz: Listen | None = Field(
        None,
        description="Listener for the decisions that another proxy requests "
        "(docs/front-proxies.md); do not expose it publicly. `null`: none.",
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
        in_schema(anyOf=[{"type": "integer", "minimum": 1}, {"const": "auto"}]),
    ] = Field(
        1, description="Number of processes that share the ports; `auto`: one per CPU."
    )
    cors_origins: Annotated[tuple[Origin, ...], Field(max_length=100)] = Field(
        (),
        description="Origins of other sites whose pages may read `/.gateway/token` and "
        "`/.gateway/sessions/whoami` with the user's cookie.",
    )
    admin_hosts: Annotated[
        tuple[Annotated[str, PlainValidator(fields.admin_host), ANY_TEXT], ...],
        Field(max_length=100),
    ] = Field(
        (),
        description="Host names that the admin listener accepts, `*.` for all below one; IP"
        " addresses, `localhost`, names without a dot and the hosts of `admin` "
        "and `public_url` are always accepted.",
    )
    admin_token: (
        Annotated[Secret, PlainValidator(secret_values.admin_token), ANY_TEXT] | None
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
