"""One configuration, compiled: what requests are judged and served by.

A request takes the object once and keeps it to its end, so a reload in between
cannot mix two configurations in one request.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.http.forwarded import Network
from gateway.http.head import HeadRules
from gateway.outbound import UpstreamView
from gateway.pages.pages import Pages
from gateway.proxy.upstream import Upstream
from gateway.server.attempts import Allowance
from gateway.server.response_head import ResponseHeaderFilter
from gateway.server.shares import UpstreamShares
from gateway.spine.ruleset import Ruleset


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    header_bytes: int
    body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One upstream: how it is addressed, its connections, what it may say."""

    view: UpstreamView
    upstream: Upstream
    shares: UpstreamShares
    may_sign_in: bool
    targets: frozenset[str]
    """Where it is, as the configuration says."""
    signs_in: bool
    """Whether its responses start sessions: by `may_sign_in`, or as the app's own."""
    idle: float
    body_idle: float
    """Seconds that a client may pause in its body, and before `body_rate` counts."""
    body_rate: int
    """Bytes a second that a client's body must bring; 0 is any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessRules:
    """How many failed attempts an address has, and which addresses are not counted."""

    sessions: Allowance
    sign_ins: Allowance
    exempt: tuple[Network, ...]
    sign_in_path: str | None
    """The path of `sign_in.url`; None where that is on another host."""
    public_origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A compiled configuration: the pure rules, and what is needed to act on them.

    responses         what is removed from every upstream's response
    responses_unasked the same where the store could not be queried: no response to
                      such a request may replace the browser's session cookie
    jwks              the public keys, as a JWK Set
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
