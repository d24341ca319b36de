"""A route: match conditions, requirements and upstream."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.http.authorization import CredentialKind
from gateway.http.forwarded import Network

COOKIE_ALONE: Final = frozenset((CredentialKind.COOKIE,))


class Rule(StrEnum):
    """The users that a route admits."""

    PUBLIC = "public"
    PROTECTED = "protected"
    ADMIN_ONLY = "admin-only"
    AUTH_REDIRECT = "auth-redirect"


class Unauthenticated(StrEnum):
    """Response to a request without a session on a route that requires one."""

    AUTO = "auto"
    REDIRECT = "redirect"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Require:
    """Requirements of a route. Empty roles and networks, and None, require nothing.

    `authenticated_within` is in seconds. `networks` also narrows the rules that need
    no session.
    """

    roles: frozenset[str] = frozenset()
    tenant: bool = False
    tenant_roles: frozenset[str] = frozenset()
    authenticated_within: float | None = None
    aal: str | None = None
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One entry of the route table.

    host             a name, "*.example.com" or "{tenant}.example.com" (one label),
                     or None: any
    path             literal segments, {one} segment, a last /** for all below
    methods          None: any; GET takes HEAD too
    session_ignored  no session is looked up
    preflight_pass   a CORS preflight is answered by the upstream, and so OPTIONS is
                     taken even where `methods` does not name it
    forbidden        "403", "404", or a path to send browsers to
    path_allows      spellings of `http.target.OPT_IN` that a target may contain
    credentials      how a request may carry its credential
    takes_tokens     one of them is the Authorization field
    upstream         None: another proxy forwards what is allowed
    source           where it was written: "gateway.yaml:12"
    """

    id: str
    host: str | None = None
    path: str
    methods: frozenset[str] | None = None
    rule: Rule
    require: Require = Require()
    session_ignored: bool = False
    unauthenticated: Unauthenticated = Unauthenticated.AUTO
    preflight_pass: bool = False
    forbidden: str = "403"
    cross_site_refused: bool = False
    path_allows: frozenset[str] = frozenset()
    credentials: frozenset[CredentialKind] = COOKIE_ALONE
    upstream: str | None
    source: str = ""
    takes_tokens: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        takes_tokens = bool(self.credentials - COOKIE_ALONE)
        object.__setattr__(self, "takes_tokens", takes_tokens)

    @property
    def takes_cookie(self) -> bool:
        """Whether the session cookie is read."""
        return CredentialKind.COOKIE in self.credentials


def route_id(host: str | None, path: str, methods: tuple[str, ...] | None) -> str:
    """Return the default ID of a route: "GET,POST /api/**", "intern.localhost /**"."""
    return " ".join(filter(None, (",".join(methods or ()), host, path)))
