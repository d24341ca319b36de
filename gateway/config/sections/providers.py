"""`sign_in.providers`: OpenID Connect providers, and the users that may sign in with them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from gateway.config import fields, secret_values, urls
from gateway.config.secret_values import Secret
from gateway.config.types import ANY_TEXT, LIST, Duration, FilePath, Model, Text

ClaimTemplate = Annotated[str, PlainValidator(fields.claim_template), ANY_TEXT]
Level = Annotated[str, PlainValidator(fields.level), ANY_TEXT]
ProviderUrl = Annotated[str, PlainValidator(urls.provider_url), ANY_TEXT]


class ProviderIdentity(Model):
    """How the claims of a provider become an identity."""

    id: ClaimTemplate = Field(
        "{sub}",
        description="Identity ID, such as `{sub}` or, with several providers, "
        "`{provider}:{sub}`.",
    )
    traits: dict[Text, ClaimTemplate] = Field(
        {"email": "{email}", "name": "{name}"},
        description="Traits by name; a trait whose claim is absent is left out.",
    )
    roles: ClaimTemplate | None = Field(
        None, description="The claim that lists the roles, such as `{groups}`."
    )


class GroupTenant(Model):
    """The tenant that a group stands for."""

    id: Text = Field(description="Tenant ID.")
    name: Text | None = Field(None, description="Its name; default: the ID.")
    role: Text | None = Field(None, description="The role in it.")


class GroupTenants(Model):
    """Tenants by group."""

    claim: ClaimTemplate = Field(
        description="The claim that lists the groups, such as `{groups}`."
    )
    groups: dict[Text, Annotated[tuple[GroupTenant, ...], LIST]] = Field(
        description="The tenant of a group, or a list of tenants."
    )


class ProviderAllow(Model):
    """Users permitted to sign in; every rule that is set must hold."""

    email_domains: tuple[
        Annotated[str, PlainValidator(fields.domain), ANY_TEXT], ...
    ] = Field((), description="The e-mail address is of one of these domains.")
    verified_email: bool | None = Field(
        None,
        description="The provider states that the e-mail address is verified; default: "
        "`true` with `email_domains`.",
    )
    roles: tuple[Text, ...] = Field((), description="One of these roles.")
    claims: dict[Text, Annotated[tuple[Text, ...], LIST]] = Field(
        {},
        description="A claim has one of these values, such as `{hd: example.com}`.",
    )


class ProviderEndpoints(Model):
    """Endpoints that replace those of discovery."""

    authorization: ProviderUrl | None = Field(
        None, description="Authorization endpoint, for browsers."
    )
    token: ProviderUrl | None = Field(None, description="Token endpoint.")
    userinfo: ProviderUrl | None = Field(None, description="UserInfo endpoint.")
    jwks: ProviderUrl | None = Field(None, description="JWK Set with the keys.")
    end_session: ProviderUrl | None = Field(
        None, description="End session endpoint, for browsers."
    )
    pushed: ProviderUrl | None = Field(
        None, description="Pushed authorization request endpoint."
    )


class ProviderClientKey(Model):
    """The private key of the client, instead of a secret (`private_key_jwt`)."""

    file: FilePath = Field(
        description="PEM file of a private key: P-256, Ed25519 or RSA; `gateway check` "
        "prints the public key to register."
    )
    algorithm: Literal["ES256", "EdDSA", "RS256", "PS256"] | None = Field(
        None, description="Signature algorithm; default: by the key, RS256 for RSA."
    )
    kid: Text | None = Field(
        None, description="Key ID at the provider; default: the RFC 7638 thumbprint."
    )
    audience: Literal["issuer", "token_endpoint"] = Field(
        "issuer",
        description="Audience of the assertions: the issuer, or, for a provider that does "
        "not accept it, the address of its token endpoint.",
    )


class ProviderAccept(Model):
    """Access tokens of the provider that programs may send as Bearer."""

    audience: Annotated[tuple[Text, ...], LIST, Field(min_length=1)] = Field(
        description="Audience of the tokens, or a list: `aud` contains one of them. Not the "
        "client ID."
    )
    issuer: Text | None = Field(
        None,
        description="`iss` of the tokens, if it is not the issuer above. The keys are those of "
        "the provider.",
    )
    max_lifetime: Duration = Field(
        86_400.0,
        description="Longest life of a token that is accepted, from `iat` to `exp`; at most "
        "`7d`.",
    )


class ProviderConfig(Model):
    """An OpenID Connect provider (docs/sign-in.md)."""

    issuer: Annotated[str, PlainValidator(urls.issuer), ANY_TEXT] = Field(
        description="Issuer, exactly as the provider writes it. https, or http on a "
        "loopback address."
    )
    client_id: Text = Field(description="Client ID at the provider.")
    client_secret: (
        Annotated[Secret, PlainValidator(secret_values.password), ANY_TEXT] | None
    ) = Field(
        None,
        description="Client secret; `null`: a public client with PKCE only, or a client "
        "with `client_key`.",
    )
    client_key: ProviderClientKey | None = Field(
        None, description="Private key of the client, instead of a secret."
    )
    client_authentication: Literal["basic", "post"] | None = Field(
        None,
        description="How the secret is sent to the token endpoint; default: as discovery "
        "states.",
    )
    title: Text | None = Field(
        None, description="Name on the sign-in page; default: the key."
    )
    pushed_requests: bool | None = Field(
        None,
        description="Whether authorization requests are pushed to the provider (RFC 9126); "
        "default: if its discovery has an address for them.",
    )
    scopes: tuple[Text, ...] = Field(
        ("openid", "profile", "email"), description="Requested scopes, with `openid`."
    )
    authorization_parameters: dict[Text, Text] = Field(
        {},
        description="Further parameters of authorization requests, such as "
        "`{access_type: offline, prompt: consent}`.",
    )
    initiate_login: bool = Field(
        False,
        description="Whether the provider, or its portal, may begin sign-ins "
        "(`initiate_login_uri`), at `<public_url>/.gateway/sign-in/<name>/initiate`.",
    )
    identity: ProviderIdentity = Field(
        ProviderIdentity(), description="How claims become an identity."
    )
    tenants: (
        Annotated[
            str | GroupTenants,
            BeforeValidator(fields.claim_template_or_mapping),
        ]
        | None
    ) = Field(
        None,
        description="The claim with the tenants, such as `{organizations}`: names, "
        "`{id, name, role}` objects, or a mapping of them by ID. Or `{claim, groups}`.",
    )
    allow: ProviderAllow = Field(
        ProviderAllow(), description="Users permitted to sign in."
    )
    accept: ProviderAccept | None = Field(
        None,
        description="Access tokens (JWT) that programs may send where a route takes "
        "`bearer`, such as `{audience: https://api.example.com}`; `null`: none.",
    )
    aal: dict[Level, Annotated[tuple[Text, ...], LIST]] = Field(
        {},
        description="`acr` values by assurance level, such as "
        "`{aal2: urn:example:mfa}`; any other is `aal1`.",
    )
    endpoints: ProviderEndpoints = Field(
        ProviderEndpoints(), description="Endpoints that replace those of discovery."
    )
    sign_out: Literal["provider", "local"] = Field(
        "provider",
        description="Whether a user who signs out is also signed out at the provider, if it "
        "can do that, or only here.",
    )
    refresh: Duration | None = Field(
        None,
        description="Age at which roles, traits and tenants of a session are renewed with a "
        "refresh token, in the background; `null`: they are those of the sign-in. Requires "
        "`sign_in.encryption_keys`.",
    )
    timeout: Duration = Field(5.0, description="For one call to the provider.")
    ca: FilePath | None = Field(
        None,
        description="PEM file of certificate authorities; default: those of the system.",
    )
