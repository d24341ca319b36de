"""What an allowed, signed-in request carries: identity, tokens, a longer life."""

from collections.abc import Sequence
from dataclasses import field

from gateway.decision import Allow
from gateway.http.head import RequestHead
from gateway.http.value import value
from gateway.outbound import UpstreamView
from gateway.server.caller import credential_of
from gateway.server.clock import DOUBTED
from gateway.server.serving import Serving
from gateway.server.tools import Tools
from gateway.sessions.authenticate import Authenticated, touch
from gateway.sessions.cookie import SessionToken
from gateway.sessions.record import Session, Tenant
from gateway.sessions.store import SessionStore
from gateway.tokens.minter import Minter


@value
class Credentials:
    """What the upstream is given, and what the browser is given back."""

    token: str | None = field(default=None, repr=False)
    identity: Sequence[tuple[bytes, bytes]] = ()
    token_cookies: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    set_cookies: Sequence[str] = field(default=(), repr=False)


def credentials_for(
    view: UpstreamView,
    authentication: Authenticated,
    decision: Allow,
    head: RequestHead,
    serving: Serving,
    tools: Tools,
) -> Credentials:
    """Mint or reuse what `decision` entitles the request to; extend the session.

    A decision that names no session (a preflight) is entitled to nothing.
    """
    session, tenant = decision.session, decision.tenant
    if session is None:
        return Credentials()
    now = tools.edge.now()
    minter = _CountingMinter(serving.minter, tools)
    token = (
        minter.token(view.token_profile, session, tenant, now)
        if view.token_profile is not None
        else None
    )
    set_cookies: list[str] = []
    token_cookies: list[tuple[bytes, bytes]] = []
    for profile, cookie in serving.token_cookies.items():
        minted = minter.token(profile, session, tenant, now)
        if minted is None:
            continue
        value = minted.encode("ascii")
        if profile == view.token_profile:
            # A token names one audience: the browser hands it on to whom it likes,
            # we hand it to nobody but the upstream that is given this profile.
            token_cookies.append((cookie.name, value))
        if not any(value in field for field in head.cookies):
            set_cookies.append(cookie.set(minted))
    if tools.own is not None:
        set_cookies += _touch(tools.own, authentication, head, serving, tools, now)
    return Credentials(
        token=token,
        identity=view.identity.lines(session, tenant),
        token_cookies=token_cookies,
        set_cookies=set_cookies,
    )


def _touch(
    store: SessionStore,
    authentication: Authenticated,
    head: RequestHead,
    serving: Serving,
    tools: Tools,
    now: float,
) -> Sequence[str]:
    """Note the use of a session; give the cookie anew where its life is extended."""
    session = authentication.session
    if tools.edge.clock.doubted() and now - session.issued_at > DOUBTED:
        # A time of the future would stay in the record when the clock is right again.
        return ()
    touched = touch(session, now, serving.lifetimes)
    if touched is None:
        return ()
    tools.later(store.replace(authentication.key, session, touched))
    if touched.expires_at == session.expires_at or not session.persistent:
        return ()
    held = credential_of(head, serving)
    if not isinstance(held, SessionToken):
        return ()
    return (serving.cookie.set_cookie(held, touched.expires_at - now),)


class _CountingMinter:
    """Draws a token id when one is signed, and so knows whether one was."""

    __slots__ = ("_drawn", "_minter", "_tools")

    def __init__(self, minter: Minter, tools: Tools) -> None:
        self._minter = minter
        self._tools = tools
        self._drawn = False

    def token(
        self, profile: str, session: Session, tenant: Tenant | None, now: float
    ) -> str | None:
        self._drawn = False
        token = self._minter.token(profile, session, tenant, now, self._jti)
        if token is not None:
            self._tools.report.token(profile, signed=self._drawn)
        return token

    def _jti(self) -> str:
        self._drawn = True
        return self._tools.edge.hex(16)
