"""`sign_in`, `roles` and `tenants`: what is known about a user, and from where."""

from typing import Annotated

from pydantic import Field, PlainValidator

from gateway.config import fields, secret_values
from gateway.config.fields import TenantSource
from gateway.config.secret_values import Secret
from gateway.config.sections.providers import ProviderConfig
from gateway.config.types import (
    ANY_TEXT,
    CookieName,
    Link,
    Model,
    Name,
    ReturnOrigin,
    Text,
    in_schema,
)


class EncryptionKey(Model):
    """A key for the tokens of providers, AES-256-GCM."""

    id: Name = Field(description="Key ID; it is stored with what the key encrypts.")
    key: Annotated[Secret, PlainValidator(secret_values.encryption_key), ANY_TEXT] = (
        Field(description="32 bytes in base64: `openssl rand -base64 32`.")
    )


class SignIn(Model):
    """Redirect targets for browsers, and sign-in with OpenID Connect."""

    providers: dict[Name, ProviderConfig] = Field(
        {},
        description="OpenID Connect providers by name; the name is part of the redirect "
        "URI, `<public_url>/.gateway/sign-in/<name>/callback`.",
    )
    encryption_keys: tuple[EncryptionKey, ...] = Field(
        (),
        description="Keys for the tokens of providers that are kept in Redis. The first "
        "encrypts, all decrypt.",
    )
    url: Link = Field(
        default_factory=lambda known: (
            "/.gateway/sign-in" if known.get("providers") else "/auth/login"
        ),
        description="Redirect target for browsers without a session; default: "
        "`/.gateway/sign-in` with `providers`, else `/auth/login`.",
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
    allowed_return_urls: tuple[ReturnOrigin, ...] = Field(
        (),
        description="Other origins allowed as return addresses, such as "
        "`https://app.example.com` or `https://*.example.com` (one label). That of "
        "`server.public_url` and the hosts of routes always are.",
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
                in_schema(
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
