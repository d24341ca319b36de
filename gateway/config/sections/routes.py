"""`routes`: what matches a request, and what the user must have."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from gateway.config import fields, urls
from gateway.config.diagnostic import expected
from gateway.config.types import (
    ANY_TEXT,
    Duration,
    Model,
    Name,
    Networks,
    PathPattern,
    Text,
    in_schema,
)
from gateway.http.target import OPT_IN


class RouteMatch(Model):
    """Requests that a route matches."""

    path: PathPattern = Field(
        description="Literal segments, `{one}` segment, and a last `/**` for this and "
        "everything below.",
    )
    host: Annotated[str, PlainValidator(fields.host_pattern), ANY_TEXT] | None = Field(
        None,
        description="`app.example.com`, `*.example.com` or `{tenant}.example.com`; `null`: any.",
    )
    methods: (
        Annotated[
            tuple[
                Annotated[
                    str,
                    PlainValidator(fields.method),
                    in_schema(enum=list(fields.METHODS)),
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
        return urls.link(value)
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
    credentials: Annotated[
        tuple[Literal["cookie", "bearer", "basic"], ...], Field(min_length=1)
    ] = Field(
        ("cookie",),
        description="How a request may carry its credential: the session `cookie`, an "
        "access token as `bearer`, or as the password of `basic` (docs/programs.md).",
    )
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
        str, PlainValidator(_forbidden), in_schema(type=["string", "integer"])
    ] = Field(
        "403",
        description="Response if access is denied: `403`, `404`, or a path to redirect to.",
    )
    cross_site: Literal["allow", "refuse"] = Field(
        "allow", description="Unsafe methods from other sites: `allow` or `refuse`."
    )
    path_allows: tuple[
        Annotated[str, PlainValidator(fields.escape), in_schema(enum=list(OPT_IN))],
        ...,
    ] = Field(
        (),
        description="Ambiguous encodings that the upstream does not decode.",
    )
    upstream: Name | None = Field(
        description="Name of the upstream; `null`: another proxy forwards the request, "
        "and the gateway only decides (docs/front-proxies.md)."
    )
