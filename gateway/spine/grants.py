"""Identity headers, tokens and the session extension of an allowed request."""

from collections.abc import Sequence
from dataclasses import field

from gateway.http.head import RequestHead
from gateway.http.value import value
from gateway.outbound import UpstreamView
from gateway.sessions.authenticate import Authenticated, touch
from gateway.sessions.cookie import SessionToken
from gateway.sessions.record import Tenant
from gateway.sessions.store import SessionCredential
from gateway.spine.outcome import SessionWrite, TokenUse
from gateway.spine.ruleset import Ruleset


@value
class Grants:
    """What the upstream is given, and what the browser is given back.

    token    the signed token of the upstream's own profile
    write    the session as it is to be stored, if its use is noted or its life extended
    issued   every token used, for the metrics
    """

    token: str | None = field(default=None, repr=False)
    identity: Sequence[tuple[bytes, bytes]] = ()
    token_cookies: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    set_cookies: Sequence[str] = field(default=(), repr=False)
    write: SessionWrite | None = None
    issued: Sequence[TokenUse] = ()


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
    session = who.session
    issuer = rules.issuer
    token: str | None = None
    uses: list[TokenUse] = []
    if view.token_profile is not None:
        issued = issuer.token(view.token_profile, session, tenant, now, nonce)
        if issued is not None:
            token = issued.token
            uses.append(TokenUse(profile=view.token_profile, signed=issued.signed))
    set_cookies: list[str] = []
    token_cookies: list[tuple[bytes, bytes]] = []
    for profile, cookie in rules.token_cookies.items():
        issued = issuer.token(profile, session, tenant, now, f"{nonce}-{profile}")
        if issued is None:
            continue
        uses.append(TokenUse(profile=profile, signed=issued.signed))
        minted = issued.token.encode("ascii")
        if profile == view.token_profile:
            # A token names one audience: the browser may pass it on to any server,
            # the gateway only to the upstream of this profile.
            token_cookies.append((cookie.name, minted))
        if not any(minted in each for each in head.cookies):
            set_cookies.append(cookie.set(issued.token))
    write = None
    if rules.external is None:
        touched = touch(session, now, rules.lifetimes, doubted=doubted)
        if touched is not None:
            write = SessionWrite(key=who.key, old=session, new=touched)
            extended = touched.expires_at != session.expires_at
            if extended and session.persistent and isinstance(credential, SessionToken):
                set_cookies.append(
                    rules.cookie.set_cookie(credential, touched.expires_at - now)
                )
    return Grants(
        token=token,
        identity=view.identity.lines(session, tenant),
        token_cookies=token_cookies,
        set_cookies=set_cookies,
        write=write,
        issued=uses,
    )
