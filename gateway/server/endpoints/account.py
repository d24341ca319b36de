"""`/.gateway/account`: profile, organizations and devices; works without scripts."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.http.navigation import is_cross_origin, is_navigation
from gateway.observe.audit_events import SessionRevoked, SessionsRevoked
from gateway.reasons import Reason, Verdict
from gateway.server.caller import caller_of
from gateway.server.context import RequestContext
from gateway.server.endpoints.devices import (
    ago,
    device_name,
    distinguished,
    is_mobile,
    on_day,
)
from gateway.server.endpoints.local_response import LocalResponse, read_form
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    Authentication,
    authenticate,
)
from gateway.sessions.record import Device, Session
from gateway.sessions.store import access_tokens, in_browsers, lives

ACCOUNT: Final = "/.gateway/account"

NOTICES: Final[Mapping[str, str]] = {
    "ended": "That device is signed out.",
    "ended-others": "All other devices are signed out.",
    "gone": "That device is already signed out.",
    "revoked": "The access token is revoked.",
    "switched": "Organization switched.",
}
"""Notices after a change, by the word in the query."""

_THIS_DEVICE: Final = "This is the device you are using. Sign out instead."


async def account(context: RequestContext) -> LocalResponse:
    """Return the page: identity, memberships, active sessions and access tokens.

    Raises:
        StoreUnavailable: the sessions could not be queried.
    """
    now = context.now
    found = await look_up(context)
    if isinstance(found, Anonymous):
        return _challenge(found, context)
    services, owner = context.services, found.session.identity.id
    listed = await services.store.list_for(owner, now)
    variables = _variables(found, in_browsers(listed), context)
    if services.own_tokens is not None and context.rules.takes_tokens:
        listed = await services.own_tokens.list_for(owner, now)
    variables["tokens"] = [_token(one, now) for _, one in access_tokens(listed)]
    # Sessions of an application cannot be listed or changed here.
    variables["may_switch"] = context.services.gateway_managed is not None
    variables["unlisted"] = context.services.gateway_managed is None
    variables["notice"] = _notice(context.head.target.query, found.session)
    return LocalResponse(reply=context.runtime.pages.page("account.html", variables))


async def end(context: RequestContext) -> LocalResponse:
    """End another session, or a token, of the same identity: `session_id`, a form field.

    Returns 303 to the page; 400 for the session of the request itself; 403 for a form
    on another origin. An ended, unknown or foreign session gets the same response, so
    that ids cannot be guessed.

    Raises:
        StoreUnavailable: it is unknown whether the session ended.
    """
    if is_cross_origin(context.head, context.rules.policy.public_origin):
        return _cross_site(context)
    session_id = (await read_form(context)).get("session_id", "")
    found = await look_up(context)
    if isinstance(found, Anonymous):
        return _challenge(found, context)
    if session_id == found.session.id:
        context.ended_as(Verdict.REFUSE, Reason.BAD_REQUEST)
        reply = context.rules.answers.problem(
            400, Reason.BAD_REQUEST, context.head, detail=_THIS_DEVICE
        )
        return LocalResponse(reply=reply)
    now, owner = context.now, found.session.identity.id
    own_tokens = context.services.own_tokens if context.rules.takes_tokens else None
    for store in filter(None, (context.services.store, own_tokens)):
        pair = await store.find(session_id) if session_id else None
        if pair is None or not lives(pair[1], owner, now):
            continue
        if await store.end(pair[0], now) is None:
            break
        name = pair[1].token_name
        context.audit(SessionRevoked(session_id=session_id, token_name=name or ""))
        return _back("ended" if name is None else "revoked", context)
    return _back("gone", context)


async def end_others(context: RequestContext) -> LocalResponse:
    """End every other session of the identity; 303 to the page.

    Raises:
        StoreUnavailable: it is unknown whether they ended.
    """
    if is_cross_origin(context.head, context.rules.policy.public_origin):
        return _cross_site(context)
    found = await look_up(context)
    if isinstance(found, Anonymous):
        return _challenge(found, context)
    now, owner = context.now, found.session.identity.id
    store = context.services.store
    count = await store.end_all(owner, now, found.key, tokens=False)
    context.audit(SessionsRevoked(count=count))
    return _back("ended-others", context)


async def look_up(context: RequestContext) -> Authentication:
    """Return the authentication of the request, and record it in the context.

    Raises:
        StoreUnavailable: the store could not be queried.
    """
    found = await caller_of(context)
    if isinstance(found, Authenticated):
        context.acts_for(found.session, found.session.active_tenant_id)
    return found


def _challenge(found: Anonymous, context: RequestContext) -> LocalResponse:
    """Return a redirect to sign in for a navigation, else a 401."""
    context.ended_as(Verdict.CHALLENGE, found.reason)
    cookies = context.rules.cookies_to_clear(found, context.head.host)
    answers = context.rules.answers
    if not is_navigation(context.head):
        reply = answers.unauthenticated(found.reason, context.head)
        return LocalResponse(reply=reply, cookies=cookies)
    location = answers.sign_in.page_location(
        answers.sign_in.url, context.head, found.reason, target=ACCOUNT
    )
    return LocalResponse(
        reply=answers.redirect(context.head, location), cookies=cookies
    )


def _cross_site(context: RequestContext) -> LocalResponse:
    context.ended_as(Verdict.DENY, Reason.CROSS_SITE)
    return LocalResponse(
        reply=context.rules.answers.problem(403, Reason.CROSS_SITE, context.head)
    )


def _back(notice: str, context: RequestContext) -> LocalResponse:
    location = f"{ACCOUNT}?notice={notice}"
    return LocalResponse(reply=context.rules.answers.redirect(context.head, location))


def _notice(query: str | None, session: Session) -> str:
    name, _, word = (query or "").partition("=")
    if name != "notice":
        return ""
    tenant = session.tenants.get(session.active_tenant_id or "")
    if word == "switched":
        return "Switched to " + ("Personal." if tenant is None else f"{tenant.name}.")
    return NOTICES.get(word, "")


def _variables(
    found: Authenticated,
    listed: list[tuple[str, Session]],
    context: RequestContext,
) -> dict[str, object]:
    """Return the variables of the template."""
    session, now = found.session, context.now
    traits = session.identity.traits
    email = _text(traits.get("email"))
    name = _text(traits.get("name")) or email or session.identity.id
    policy = context.rules.lifetimes
    alive = [
        (key, other)
        for key, other in listed
        if key != found.key
        and isinstance(
            authenticate(other, key=key, now=now, policy=policy), Authenticated
        )
    ]
    alive.sort(key=lambda pair: pair[1].last_seen_at, reverse=True)
    return {
        "name": name,
        "initial": name[:1].upper(),
        "email": "" if email == name else email,
        "roles": session.identity.roles,
        "personal": session.active_tenant_id not in session.tenants,
        "tenants": [
            {
                "id": tenant.id,
                "name": tenant.name,
                "role": tenant.role,
                "active": tenant.id == session.active_tenant_id,
            }
            for tenant in session.tenants.values()
        ],
        "devices": distinguished(
            [
                _device(session, now, mine=True),
                *(_device(other, now, mine=False) for _, other in alive),
            ]
        ),
    }


def _device(session: Session, now: float, *, mine: bool) -> dict[str, object]:
    device = session.devices[-1] if session.devices else Device()
    return {
        "session_id": session.id,
        "name": device_name(device.user_agent),
        "hand_held": is_mobile(device.user_agent),
        "address": device.ip_address,
        "seen": "now" if mine else ago(now - session.last_seen_at),
        # Not every library stores it.
        "since": ago(now - session.authenticated_at)
        if session.authenticated_at
        else "",
        "signed_in": session.authenticated_at,
        "mine": mine,
    }


def _token(session: Session, now: float) -> dict[str, object]:
    used = session.last_seen_at > session.issued_at
    return {
        "id": session.id,
        "name": session.token_name,
        "created": on_day(session.issued_at),
        "used": ago(now - session.last_seen_at) if used else "",
        "expires": on_day(session.expires_at),
    }


def _text(trait: Any) -> str:
    """Return a trait as text; a name in parts, as in Kratos, is joined."""
    if isinstance(trait, dict):
        parts = [_text(trait.get(part)) for part in ("first", "last")]
        return " ".join(part for part in parts if part)
    return trait.strip() if isinstance(trait, str) else ""
