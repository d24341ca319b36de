"""One OpenID Connect provider, as configured; values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.oidc.claims import ClaimText
from gateway.tokens.ring import PrivateKey

ClientAuthentication = Literal["basic", "post"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    """The private key of the client.

    audience   of its assertions: the issuer, or the address of the token endpoint
    public     the public key as a JWK, to be registered at the provider
    """

    private: PrivateKey = field(repr=False)
    algorithm: str
    kid: str
    audience: Literal["issuer", "token_endpoint"]
    public: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Addresses that replace those of discovery; None: as discovered."""

    authorization: str | None = None
    token: str | None = None
    userinfo: str | None = None
    jwks: str | None = None
    end_session: str | None = None
    pushed: str | None = None

    @property
    def complete(self) -> bool:
        """Whether a sign-in needs no discovery."""
        return None not in (self.authorization, self.token, self.jwks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The tenant of one group, and the role in it."""

    id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRules:
    """How claims become an identity.

    tenants     the claim that lists or maps them, or the groups of `membership`
    membership  tenants by group; None: the claim names the tenants
    """

    id: ClaimText
    traits: Mapping[str, ClaimText]
    roles: ClaimText | None
    tenants: ClaimText | None
    membership: Mapping[str, tuple[Membership, ...]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """Users permitted to sign in; every rule that is set must hold.

    email_domains  lower case
    claims         accepted values by claim
    """

    email_domains: frozenset[str] = frozenset()
    verified_email: bool = False
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """The provider's access tokens that programs may send.

    issuer        `iss` of the tokens
    audience      one of these is in `aud`
    longest_life  seconds from `iat` to `exp`
    """

    issuer: str
    audience: frozenset[str]
    longest_life: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """One provider.

    title           its name on pages
    client_secret   None: a public client, or one with a key
    authentication  how the client authenticates; None: as discovery suggests
    levels          the assurance level of an `acr` value
    timeout         seconds for one call
    signed_out_uri  where the provider returns to after a sign-out
    sign_out_there  a sign-out here also ends the provider's session
    keeps_access    the access token is kept, for an upstream
    client_key      proves the client instead of a secret
    pushes          authorization requests are pushed (RFC 9126); None: if discovery
                    has an address for it
    refresh         seconds after which the membership is renewed; None: it is not
    parameters      further parameters of authorization requests
    initiates       the provider may begin sign-ins
    accept          its access tokens that programs may send; None: none
    """

    name: str
    title: str
    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    authentication: ClientAuthentication | None
    scopes: tuple[str, ...]
    redirect_uri: str
    endpoints: Endpoints
    person: PersonRules
    allow: Allow
    levels: Mapping[str, str]
    timeout: float
    signed_out_uri: str
    sign_out_there: bool
    client_key: ClientKey | None = None
    pushes: bool | None = None
    refresh: float | None = None
    keeps_access: bool = False
    accept: Accept | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    initiates: bool = False
