"""The compiled rules of a configuration; immutable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeAlias

from gateway.decision import Check, Policy
from gateway.http.memo import Generations, Memo
from gateway.oidc.access_token import AccessTokens
from gateway.outbound import UpstreamView
from gateway.reasons import Reason
from gateway.routes.model import Route
from gateway.routes.table import RouteTable
from gateway.sessions.authenticate import (
    Authenticated,
    Authentication,
    LifetimePolicy,
)
from gateway.sessions.cookie import (
    COOKIE_BYTES,
    COOKIES_MOST,
    CookieSpec,
    Malformed,
    NoCookie,
    SessionToken,
    read_session_token,
)
from gateway.sessions.formats.credential import Credential, read_credential
from gateway.sessions.formats.profile import Profile
from gateway.spine.answers import Answers
from gateway.spine.session_plan import PLANS_BYTES, PLANS_MOST, PlanKey, SessionPlan
from gateway.tenants import Source, reads_head
from gateway.tokens.minter import Issued
from gateway.tokens.subject import Membership, Subject

CookieSession: TypeAlias = SessionToken | Credential | NoCookie | Malformed
"""What the Cookie fields of a request say of its session."""


class TokenIssuer(Protocol):
    """Issues the signed tokens of the profiles."""

    def token(
        self,
        profile: str,
        session: Subject,
        tenant: Membership | None,
        now: float,
        jti: str,
    ) -> Issued | None:
        """Return a token that is valid at `now`; None if the session gets none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCookie:
    """A cookie that carries a minted token; cleared with the attributes it is set with."""

    name: bytes
    attributes: str

    def set(self, token: str) -> str:
        """Return the Set-Cookie value with the token."""
        return f"{self.name.decode('ascii')}={token}; {self.attributes}"

    def clear(self) -> str:
        """Return the Set-Cookie value that removes the cookie."""
        return f"{self.name.decode('ascii')}=; Max-Age=0; {self.attributes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePlan:
    """What is the same for every request at a route.

    head_checks  those of `checks` that read the request
    """

    route: Route
    checks: tuple[Check, ...]
    view: UpstreamView
    head_checks: tuple[Check, ...] = field(init=False)

    def __post_init__(self) -> None:
        of_head = tuple(check for check in self.checks if check.reads_head)
        object.__setattr__(self, "head_checks", of_head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """Everything that decides about a request.

    plans         by route id
    external      session format of the app; None if the gateway writes the sessions
    token_cookies by token profile
    clear_cookies Set-Cookie values that remove every credential from a browser
    end_cookies   Set-Cookie value that keeps the reason of an end, by reason
    forget_end    Set-Cookie value that removes it
    owns_jwks     no route claims /.well-known/jwks.json
    access_tokens tokens of providers for upstreams; None: no upstream gets one
    refresh       seconds after which membership is renewed, by provider
    session_plans what was found before, by session and route
    page_origins  origins whose pages may read whoami and tokens
    browser_profiles  token profiles whose tokens pages get
    tenant_of_head  the request may name the tenant, not the session alone
    takes_tokens    a route takes access tokens
    token_issuers   the issuers of access tokens of providers that are accepted
    """

    routes: RouteTable
    plans: Mapping[str, RoutePlan]
    policy: Policy
    tenant_sources: tuple[Source, ...]
    cookie: CookieSpec
    cookie_name: bytes
    external: Profile | None
    lifetimes: LifetimePolicy
    issuer: TokenIssuer
    answers: Answers
    token_cookies: Mapping[str, TokenCookie]
    clear_cookies: tuple[str, ...]
    end_cookies: Mapping[Reason, str]
    forget_end: str
    owns_jwks: bool
    refresh: Mapping[str, float] = field(default_factory=dict)
    access_tokens: AccessTokens | None = None
    page_origins: frozenset[str] = frozenset()
    browser_profiles: frozenset[str] = frozenset()
    token_issuers: frozenset[str] = frozenset()
    session_plans: Generations[PlanKey, SessionPlan] = field(
        init=False, repr=False, compare=False
    )
    tenant_of_head: bool = field(init=False)
    takes_tokens: bool = field(init=False)
    _cookies: Memo[bytes, CookieSession] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plans: Generations[PlanKey, SessionPlan] = Generations(PLANS_MOST, PLANS_BYTES)
        object.__setattr__(self, "session_plans", plans)
        object.__setattr__(self, "tenant_of_head", reads_head(self.tenant_sources))
        takes_tokens = any(plan.route.takes_tokens for plan in self.plans.values())
        object.__setattr__(self, "takes_tokens", takes_tokens)
        read = partial(_read_cookie, self.external, self.cookie_name)
        memo = Memo(read, entries=COOKIES_MOST, longest=COOKIE_BYTES)
        object.__setattr__(self, "_cookies", memo)

    def read_cookies(self, cookies: Sequence[bytes]) -> CookieSession:
        """Return the session credential in the Cookie fields of a request."""
        if len(cookies) == 1:
            return self._cookies[cookies[0]]
        return _read_cookies(self.external, self.cookie_name, cookies)

    def cookies_to_clear(self, who: Authentication, host: str) -> tuple[str, ...]:
        """Return the Set-Cookie values of a response of the gateway.

        The end of a session removes its cookies and leaves its reason. Two session
        cookies stay for ever if they are of different domains: the next sign-in
        replaces one of them only. So each that the host may remove is cleared.
        """
        if isinstance(who, Authenticated):
            return ()
        if who.twice:
            return self.cookie.clear_everywhere(host)
        return self.cookies_after(who.reason) if who.ended else ()

    def cookies_after(self, reason: Reason) -> tuple[str, ...]:
        """Return the Set-Cookie values of a response that found the end of a session."""
        word = self.end_cookies.get(reason)
        return self.clear_cookies if word is None else (*self.clear_cookies, word)


def _read_cookie(external: Profile | None, name: bytes, cookie: bytes) -> CookieSession:
    return _read_cookies(external, name, (cookie,))


def _read_cookies(
    external: Profile | None, name: bytes, cookies: Sequence[bytes]
) -> CookieSession:
    if external is None:
        return read_session_token(cookies, name)
    return read_credential(external, cookies)
