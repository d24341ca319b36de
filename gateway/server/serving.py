"""One configuration, compiled: what a request is judged and served by.

A request takes the object once and keeps it to its end, so a reload in between
cannot mix two configurations in one request.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.decision import Policy
from gateway.http.forwarded import Network
from gateway.http.head import HeadRules
from gateway.outbound import UpstreamView
from gateway.proxy.upstream import Upstream
from gateway.routes.table import RouteTable
from gateway.server.answer import AnswerRules
from gateway.server.attempts import Allowance
from gateway.server.replies import Replies
from gateway.sessions.authenticate import LifetimePolicy
from gateway.sessions.cookie import CookieSpec
from gateway.sessions.formats.profile import Profile
from gateway.tenants import Source
from gateway.tokens.minter import Minter


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    header_bytes: int
    body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCookie:
    """A cookie that carries a minted token; set with what it is cleared with."""

    name: bytes
    attributes: str

    def set(self, token: str) -> str:
        """Write the Set-Cookie value that hands the token out."""
        return f"{self.name.decode('ascii')}={token}; {self.attributes}"

    def clear(self) -> str:
        """Write the Set-Cookie value that takes it back."""
        return f"{self.name.decode('ascii')}=; Max-Age=0; {self.attributes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One upstream: how it is addressed, its connections, what it may say."""

    view: UpstreamView
    upstream: Upstream
    may_sign_in: bool
    targets: frozenset[str] = frozenset()
    """Where it is, as the configuration says."""
    signs_in: bool
    """Whether its answers begin sessions: by `may_sign_in`, or as the app's own."""
    idle: float
    body_idle: float
    """Seconds that a client may pause in its body, and before `body_rate` counts."""
    body_rate: int
    """Bytes a second that a client's body must bring; 0 is any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessRules:
    """How many guesses an address has, and who is not counted."""

    sessions: Allowance
    sign_ins: Allowance
    exempt: tuple[Network, ...]
    sign_in_path: str | None
    """The path of `sign_in.url`; None where that is on another host."""
    public_origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """All that the way of one request needs from the configuration."""

    head_rules: HeadRules
    limits: Limits
    routes: RouteTable
    policy: Policy
    tenant_sources: tuple[Source, ...]
    cookie: CookieSpec
    cookie_name: bytes
    foreign: Profile | None
    """How the sessions of an app are read; None where the gateway writes them."""
    lifetimes: LifetimePolicy
    applications: Mapping[str, Application]
    minter: Minter
    replies: Replies
    guessing: GuessRules | None
    answers: AnswerRules
    answers_unasked: AnswerRules
    """The same, where the session could not be asked about: no answer to such a
    request may put another session cookie in the place of the browser's."""
    token_cookies: Mapping[str, TokenCookie]
    """Token profile -> the cookie that hands it to the browser."""
    clear_cookies: tuple[str, ...]
    """Set-Cookie values that take every credential of ours from a browser."""
    jwks: bytes
    owns_jwks: bool
    """Whether no route claims /.well-known/jwks.json for itself."""
