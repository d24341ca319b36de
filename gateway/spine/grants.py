"""Identity headers, tokens and the session extension of an allowed request."""

from collections.abc import Callable, Sequence
from dataclasses import field

from gateway.http.head import RequestHead
from gateway.http.value import value
from gateway.interval import Interval
from gateway.oidc.access_token import AccessToken, NoAccessToken
from gateway.oidc.membership import due_at
from gateway.outbound import UpstreamView, granted_lines
from gateway.sessions.authenticate import Authenticated, touch, unchanged
from gateway.sessions.cookie import SessionToken
from gateway.sessions.provider_token import LEEWAY, ProviderToken
from gateway.sessions.record import Session, Tenant
from gateway.sessions.store import SessionCredential
from gateway.spine.outcome import SessionWrite
from gateway.spine.ruleset import Ruleset
from gateway.spine.session_plan import TokenUse
from gateway.tokens.minter import Issued


@value
class Grants:
    """What the upstream is given, and what the browser is given back.

    lines    identity and token, as the upstream is sent them
    write    the session as it is to be stored, if its use is noted or its life extended
    issued   every token used, for the metrics
    lasts    when the session gets the same again, whatever the request; None: the
             request has a part in it, or something is written
    stale    the membership of the session is to be renewed
    lacks_token  the access token that the upstream needs has expired
    """

    lines: bytes = field(default=b"", repr=False)
    token_cookies: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    set_cookies: Sequence[str] = field(default=(), repr=False)
    write: SessionWrite | None = None
    issued: Sequence[TokenUse] = ()
    lasts: Interval | None = None
    stale: bool = False
    lacks_token: bool = False


NO_GRANTS = Grants()


def grants_for(
    view: UpstreamView,
    who: Authenticated,
    tenant: Tenant | None,
    credential: SessionCredential,
    head: RequestHead,
    rules: Ruleset,
    *,
    now: float,
    nonce: str,
    doubted: bool = False,
) -> Grants:
    """Return what the session entitles an allowed request to.

    Args:
        view: the upstream.
        who: the session.
        tenant: the tenant that the request acts for.
        credential: the secret that named the session; its cookie may be renewed.
        head: the request.
        rules: the configuration.
        now: seconds since the epoch.
        nonce: 32 random hex digits, unique to this request: the `jti` of its token.
        doubted: the clock stepped forward so lately that the step may be undone.
    """
    session, uses = who.session, list[TokenUse]()

    def minted(profile: str, jti: str) -> Issued | None:
        issued = rules.issuer.token(profile, session, tenant, now, jti)
        if issued is not None:
            uses.append(TokenUse(profile=profile, signed=issued.signed))
        return issued

    access = _access_token(view, who, credential, rules, now)
    if isinstance(access, NoAccessToken):
        return Grants(lacks_token=True)
    own = [
        # The ID of each token is its own.
        minted(slot.profile, f"{nonce}-{slot.profile}" if at else nonce)
        for at, slot in enumerate(view.tokens)
    ]
    cookies, set_cookies = _token_cookies(view, session, head, rules, minted, nonce)
    lasts, write = None, _session_write(who, rules, now=now, doubted=doubted)
    if write is not None:
        set_cookies.extend(_renewed_cookie(write, credential, rules, now))
    elif not rules.token_cookies:
        lasts = _lasts(session, own, access, rules)
    stale, lasts = _renewal(session, lasts, rules, now)
    tokens = [None if each is None else each.token for each in own]
    text = None if access is None else access.text
    return Grants(
        lines=granted_lines(view, session, tenant, tokens, text),
        token_cookies=cookies,
        set_cookies=set_cookies,
        write=write,
        issued=uses,
        lasts=lasts,
        stale=stale,
    )


def _access_token(
    view: UpstreamView,
    who: Authenticated,
    credential: SessionCredential,
    rules: Ruleset,
    now: float,
) -> AccessToken | NoAccessToken | None:
    """Return the access token for the upstream; None if it gets none.

    That of a program is the one that it sent.
    """
    if view.provider is None or rules.access_tokens is None:
        return None
    if isinstance(credential, ProviderToken):
        until = who.session.expires_at - LEEWAY
        sent = AccessToken(text=credential.value, until=until)
        return sent if rules.access_tokens.accepts(view.provider, who.session) else None
    return rules.access_tokens.of(who.session, who.key, view.provider, now)


def _renewal(
    session: Session, lasts: Interval | None, rules: Ruleset, now: float
) -> tuple[bool, Interval | None]:
    """Return whether the membership is to be renewed, and `lasts` until it is."""
    if not rules.refresh:
        return False, lasts
    due = due_at(session, rules.refresh, now)
    if due <= now or lasts is None:
        return due <= now, lasts
    return False, lasts.within(Interval(until=due))


def _token_cookies(
    view: UpstreamView,
    session: Session,
    head: RequestHead,
    rules: Ruleset,
    minted: Callable[[str, str], Issued | None],
    nonce: str,
) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """Return the token cookies of the upstream, and the Set-Cookie values of the browser."""
    own = {slot.profile for slot in view.tokens}
    of_upstream: list[tuple[bytes, bytes]] = []
    of_browser: list[str] = []
    for profile, cookie in rules.token_cookies.items():
        issued = minted(profile, f"{nonce}-{profile}")
        if issued is None:
            continue
        as_bytes = issued.token.encode("ascii")
        if profile in own:
            # A token names its audience: the browser may pass it on to any server,
            # the gateway only to the upstreams of this profile.
            of_upstream.append((cookie.name, as_bytes))
        # A program has no browser to keep it.
        if session.token_name is None and not any(
            as_bytes in each for each in head.cookies
        ):
            of_browser.append(cookie.set(issued.token))
    return of_upstream, of_browser


def _lasts(
    session: Session,
    tokens: Sequence[Issued | None],
    access: AccessToken | None,
    rules: Ruleset,
) -> Interval | None:
    interval = unchanged(session, rules.lifetimes)
    if access is not None:
        interval = interval.within(Interval(until=access.until))
    for token in tokens:
        if token is None:
            # It may get a token later that it does not get now.
            return None
        interval = interval.within(token.lasts)
    return interval


def _session_write(
    who: Authenticated, rules: Ruleset, *, now: float, doubted: bool
) -> SessionWrite | None:
    # The records of an external format are its app's to extend.
    if rules.external is not None and who.session.token_name is None:
        return None
    touched = touch(who.session, now, rules.lifetimes, doubted=doubted)
    if touched is None:
        return None
    return SessionWrite(key=who.key, old=who.session, new=touched)


def _renewed_cookie(
    write: SessionWrite, credential: SessionCredential, rules: Ruleset, now: float
) -> Sequence[str]:
    extended = write.new.expires_at != write.old.expires_at
    if extended and write.old.persistent and isinstance(credential, SessionToken):
        return (rules.cookie.set_cookie(credential, write.new.expires_at - now),)
    return ()
