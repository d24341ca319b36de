"""`/.gateway/account`: who I am, my organisations, my devices; without a script."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.http.head import RequestHead
from gateway.http.navigation import is_cross_origin, is_navigation
from gateway.http.return_to import login_location
from gateway.reasons import Reason
from gateway.server.caller import caller_of
from gateway.server.endpoints.answered import OwnAnswer, read_form
from gateway.server.endpoints.devices import ago, device_name, is_hand_held
from gateway.server.exchange import Exchange
from gateway.server.serving import Serving
from gateway.server.story import Story
from gateway.server.tools import Tools
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    Authentication,
    authenticate,
)
from gateway.sessions.record import Device, Session
from gateway.sessions.store import lives

ACCOUNT: Final = "/.gateway/account"

NOTICES: Final[Mapping[str, str]] = {
    "ended": "That device is signed out.",
    "ended-others": "All other devices are signed out.",
    "gone": "That device was signed out already.",
    "switched": "You work in another organisation now.",
}
"""What the page says after a change: the word in its query, the sentence shown."""

_THIS_DEVICE: Final = "This is the device that you are using: sign out instead."


async def account(
    _exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """Show identity, memberships and live sessions, newest use first.

    Raises:
        StoreUnavailable: it is not known who asks, or what else lives.
    """
    now = tools.edge.now()
    found = await look_up(head, serving, story, tools)
    if isinstance(found, Anonymous):
        return _turned_away(found, head, serving, story)
    listed = await tools.store.list_for(found.session.identity.id, now)
    variables = _variables(found, listed, now, serving)
    # Of an app's sessions there is no list, and what is in them is the app's to change.
    variables["may_switch"] = tools.own is not None
    variables["unlisted"] = tools.own is None
    variables["notice"] = _notice(head.target.query, found.session)
    return OwnAnswer(reply=serving.replies.pages.page("account.html", variables))


async def end(
    exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """End one other session of the same identity: `session_id`, a form field.

    Answers 303 to the page; 400 for the session of the request itself; 403 to a
    form on another origin. A session that is over, somebody else's or nobody's all
    answer the same, so that ids cannot be guessed.

    Raises:
        StoreUnavailable: it is not known whether it ended.
    """
    if is_cross_origin(head, serving.policy.public_origin):
        return _cross_site(head, serving, story)
    session_id = (await read_form(exchange, head)).get("session_id", "")
    found = await look_up(head, serving, story, tools)
    if isinstance(found, Anonymous):
        return _turned_away(found, head, serving, story)
    if session_id == found.session.id:
        story.decision, story.reason = "refuse", Reason.BAD_REQUEST
        reply = serving.replies.pages.problem(
            400,
            Reason.BAD_REQUEST,
            html=is_navigation(head),
            request_id=head.request_id,
            detail=_THIS_DEVICE,
        )
        return OwnAnswer(reply=reply)
    now, owner = tools.edge.now(), found.session.identity.id
    pair = await tools.store.find(session_id) if session_id else None
    if pair is None or not lives(pair[1], owner, now):
        return _back("gone", head, serving)
    if await tools.store.end(pair[0], now) is None:
        return _back("gone", head, serving)
    tools.report.audit("session_revoke", story, target=session_id)
    return _back("ended", head, serving)


async def end_others(
    _exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """End every other session of the identity; 303 to the page.

    Raises:
        StoreUnavailable: it is not known whether they ended.
    """
    if is_cross_origin(head, serving.policy.public_origin):
        return _cross_site(head, serving, story)
    found = await look_up(head, serving, story, tools)
    if isinstance(found, Anonymous):
        return _turned_away(found, head, serving, story)
    now, owner = tools.edge.now(), found.session.identity.id
    count = await tools.store.end_all(owner, now, found.key)
    tools.report.audit("sessions_revoke", story, count=count)
    return _back("ended-others", head, serving)


async def look_up(
    head: RequestHead, serving: Serving, story: Story, tools: Tools
) -> Authentication:
    """Ask who is signed in, and note it in the story; changes nothing.

    Raises:
        StoreUnavailable: it could not be found out.
    """
    found = await caller_of(head, serving, tools)
    if isinstance(found, Authenticated):
        session = found.session
        story.identity_id, story.session_id = session.identity.id, session.id
        story.tenant_id = session.active_tenant_id
    return found


def _turned_away(
    found: Anonymous, head: RequestHead, serving: Serving, story: Story
) -> OwnAnswer:
    """Send a person to sign in and back to the page; tell a program 401."""
    story.decision, story.reason = "challenge", found.reason
    cookies = serving.clear_cookies if found.ended else ()
    replies = serving.replies
    if not is_navigation(head):
        reply = replies.unauthenticated(found.reason, head)
        return OwnAnswer(reply=reply, cookies=cookies)
    page = replies.sign_in
    location = login_location(page.url, page.return_to, ACCOUNT, found.reason)
    return OwnAnswer(reply=replies.redirect(head, location), cookies=cookies)


def _cross_site(head: RequestHead, serving: Serving, story: Story) -> OwnAnswer:
    story.decision, story.reason = "deny", Reason.CROSS_SITE
    return OwnAnswer(reply=serving.replies.problem(403, Reason.CROSS_SITE, head))


def _back(notice: str, head: RequestHead, serving: Serving) -> OwnAnswer:
    location = f"{ACCOUNT}?notice={notice}"
    return OwnAnswer(reply=serving.replies.redirect(head, location))


def _notice(query: str | None, session: Session) -> str:
    name, _, word = (query or "").partition("=")
    if name != "notice":
        return ""
    tenant = session.tenants.get(session.active_tenant_id or "")
    if word == "switched" and tenant is not None:
        return f"You work in {tenant.name} now."
    return NOTICES.get(word, "")


def _variables(
    found: Authenticated,
    listed: list[tuple[str, Session]],
    now: float,
    serving: Serving,
) -> dict[str, object]:
    """Put into words what the template shows."""
    session = found.session
    traits = session.identity.traits
    email = _text(traits.get("email"))
    name = _text(traits.get("name")) or email or session.identity.id
    policy = serving.lifetimes
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
        "tenants": [
            {
                "id": tenant.id,
                "name": tenant.name,
                "role": tenant.role,
                "active": tenant.id == session.active_tenant_id,
            }
            for tenant in session.tenants.values()
        ],
        "devices": [
            _device(session, now, mine=True),
            *(_device(other, now, mine=False) for _, other in alive),
        ],
    }


def _device(session: Session, now: float, *, mine: bool) -> dict[str, object]:
    device = session.devices[-1] if session.devices else Device()
    return {
        "session_id": session.id,
        "name": device_name(device.user_agent),
        "hand_held": is_hand_held(device.user_agent),
        "address": device.ip_address,
        "seen": "now" if mine else ago(now - session.last_seen_at),
        # Not every library says when.
        "since": ago(now - session.authenticated_at)
        if session.authenticated_at
        else "",
        "mine": mine,
    }


def _text(trait: Any) -> str:
    """Show a trait that is text; a name in parts (Kratos' habit) as one."""
    if isinstance(trait, dict):
        parts = [_text(trait.get(part)) for part in ("first", "last")]
        return " ".join(part for part in parts if part)
    return trait.strip() if isinstance(trait, str) else ""
