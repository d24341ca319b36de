"""`upstreams`: the apps behind the gateway."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from gateway.config import fields, patterns
from gateway.config.types import (
    ANY_TEXT,
    Duration,
    FilePath,
    IdentityHeaderNames,
    Many,
    Model,
    Name,
    Size,
    StrippedHeader,
    Text,
    UpstreamUrls,
)


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


class ProviderToken(Model):
    """The access token of a provider, instead of a token of the gateway."""

    provider: Name = Field(
        description="Provider whose access token is sent as `Authorization: Bearer`."
    )


class Upstream(Model):
    """An app behind the gateway."""

    url: UpstreamUrls = Field(
        description="`http://host:port`, `https://host:port`, `unix:/path`, or a list: "
        "load-balanced, with passive health checks.",
    )
    token: (
        Annotated[
            str
            | Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
            | ProviderToken,
            BeforeValidator(fields.name_or_mapping),
        ]
        | None
    ) = Field(
        None,
        description="Token profile for its requests, or a list, each with its header; or "
        "`{provider: NAME}`: the access token that the provider issued for the user.",
    )

    @property
    def profiles(self) -> tuple[str, ...]:
        """The token profiles of its requests."""
        if isinstance(self.token, str):
            return (self.token,)
        return self.token if isinstance(self.token, tuple) else ()

    @property
    def provider(self) -> str | None:
        """The provider whose access token its requests carry."""
        return self.token.provider if isinstance(self.token, ProviderToken) else None

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
        Annotated[str, PlainValidator(patterns.strip_prefix), ANY_TEXT] | None
    ) = Field(
        None,
        description="Path prefix to remove, such as `/api`; sent as X-Forwarded-Prefix.",
    )
    restore_prefix: bool = Field(
        True,
        description="Whether `Location` and cookie paths of responses get the stripped "
        "prefix back.",
    )
    identity_headers: IdentityHeaderNames | None = Field(
        None,
        description="Identity headers of this upstream; default: the top-level "
        "`identity_headers`.",
    )
    identity_encoding: Literal["percent", "utf-8"] = Field(
        "percent",
        description="Encoding of identity headers beyond printable ASCII: "
        "percent-encoded, or UTF-8 as it is.",
    )
    identity_lists: Literal["comma", "json"] = Field(
        "comma",
        description="Lists in identity headers: items joined by commas, a comma inside an "
        "item as `%2C`; or a JSON array.",
    )
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
