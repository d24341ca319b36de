"""The compiled configuration.

A request uses one object from start to end, so a reload never mixes two configurations
in one request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.http.forwarded import Network
from gateway.http.head import HeadRules, RequestHead
from gateway.http.lines import HeadKey
from gateway.http.memo import Generations
from gateway.oidc.attempt import AttemptCookies
from gateway.oidc.provider import Provider
from gateway.oidc.vault import Vault
from gateway.outbound import UpstreamView
from gateway.pages.pages import Pages
from gateway.proxy.upstream import Upstream
from gateway.server.attempts import Allowance
from gateway.server.response_head import ResponseHeaderFilter
from gateway.server.shares import UpstreamShares
from gateway.spine.outcome import Forward, Lookup
from gateway.spine.ruleset import Ruleset

KnownHeads: TypeAlias = Generations[HeadKey, RequestHead | Lookup | Forward]

_HEADS_MOST: Final = 3072
_HEADS_BYTES: Final = 28 * 1024 * 1024
"""What one generation of known heads takes, as `kept_bytes` counts it."""


def kept_bytes(key: HeadKey, head: RequestHead) -> int:
    """Return about how many bytes are kept with a request, unless a session grants some.

    The head, its Lookup, the outcome and the bytes for the upstream take about 2 KiB.
    They repeat the parts of the request up to five times, and each field that is
    forwarded is three objects, which may be kept for this request alone.
    """
    return 2048 + 5 * key[0].size + 160 * len(head.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    header_bytes: int
    body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One upstream: its view, its connections and its permissions."""

    view: UpstreamView
    upstream: Upstream
    shares: UpstreamShares
    may_sign_in: bool
    targets: frozenset[str]
    """The configured targets."""
    signs_in: bool
    """Whether its responses start sessions: `may_sign_in`, or the application's own."""
    idle: float
    body_idle: float
    """Seconds that a client may pause in a body; also before `body_rate` applies."""
    body_rate: int
    """Minimum bytes per second of a client's body; 0 disables it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessRules:
    """Allowed failures per address, and the exempt networks."""

    sessions: Allowance
    sign_ins: Allowance
    exempt: tuple[Network, ...]
    sign_in_path: str | None
    """The path of `sign_in.url`; None if it is on another host."""
    public_origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A compiled configuration: the pure rules, and the parts that perform outcomes.

    responses         what is removed from every upstream's response
    responses_unasked the same where the store could not be queried: no response to
                      such a request may replace the browser's session cookie
    jwks              the public keys, as a JWK Set
    providers         OpenID Connect providers by name, in the order of the file
    attempts          the cookies of sign-ins in progress
    vault             encrypts what is kept of providers; None: nothing is kept
    known_heads       requests that were received before, byte for byte: what
                      `read_request` returned, or what `before_lookup` did if that
                      repeats
    known_checks      the same for checks of other proxies, which describe a request
    """

    rules: Ruleset
    head_rules: HeadRules
    limits: Limits
    pages: Pages
    guessing: GuessRules | None
    applications: Mapping[str, Application]
    responses: ResponseHeaderFilter
    responses_unasked: ResponseHeaderFilter
    jwks: bytes
    providers: Mapping[str, Provider]
    attempts: AttemptCookies
    vault: Vault | None = None
    known_heads: KnownHeads = field(init=False, repr=False, compare=False)
    known_checks: KnownHeads = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Of this configuration: a copy with other rules begins without any.
        for name in ("known_heads", "known_checks"):
            object.__setattr__(self, name, Generations(_HEADS_MOST, _HEADS_BYTES))

    def follow(self, previous: "Runtime") -> None:
        """Go on with what providers that did not change have published."""
        for name, provider in self.providers.items():
            before = previous.providers.get(name)
            if before is not None:
                provider.verifier.follow(before.verifier)

    def count_granted(
        self, key: HeadKey, lookup: Lookup, before: Forward | None
    ) -> None:
        """Count what the outcome adds that replaces `before` in what is kept."""
        more = _granted_bytes(lookup.known) - _granted_bytes(before)
        self.known_heads.grow(key, lookup, more)
        self.known_checks.grow(key, lookup, more)

    def retire(self) -> None:
        """Forget what only saves time: open streams may need the rest for days."""
        self.known_heads.retire()
        self.known_checks.retire()
        self.rules.session_plans.retire()


def _granted_bytes(known: Forward | None) -> int:
    plan = None if known is None else known.planned_by
    return 0 if plan is None else len(plan.granted)
