"""Sessions begin, end and change tenant: what the hand-off and our paths share."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, Literal

from gateway.errors import StoreUnavailable
from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.server.caller import credential_of, look_up
from gateway.server.hand_off import SignIn
from gateway.server.serving import Serving
from gateway.server.story import Story
from gateway.server.tools import Tools
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.cookie import new_token
from gateway.sessions.record import Device, Session
from gateway.sessions.service import new_session
from gateway.sessions.store import Held, SessionStore

_USER_AGENT: Final = b"user-agent"
_TRIES: Final = (0.0, 1.0, 5.0, 30.0)
"""Seconds before each try to end a session that nobody holds; then it is let be."""


async def sign_in(
    hand_off: SignIn,
    store: SessionStore,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> Sequence[str]:
    """Start a session, ending the one that the request came with.

    The token is always a new one: a token known before sign-in, planted or not, is
    worth nothing after it (session fixation). Gives the Set-Cookie values.

    Raises:
        StoreUnavailable: nothing was started; what was begun of it is taken back.
        ValueError: nothing was started, as `session_of` says why.
    """
    now = tools.edge.now()
    token = new_token(tools.edge.secret(32))
    session = session_of(hand_off, device_of(head), serving, tools, now)
    held = credential_of(head, serving)
    try:
        # In this order. The old one ended first would be gone if the store then went
        # away: an outage ends nobody. This way round a session may be left whose token
        # was sent to nobody; it opens nothing, but would be listed among the devices.
        await store.create(token.key, session, now)
        if not isinstance(held, Anonymous):
            await store.end(held.key, now)
    except StoreUnavailable:
        tools.later(_take_back(token.key, store, now))
        raise
    story.identity_id, story.session_id = session.identity.id, session.id
    # From here on the answer is the new session's: the old one's end is its doing.
    story.session_key = token.key
    tools.report.audit("sign_in", story, methods=",".join(hand_off.methods))
    return (
        serving.cookie.set_cookie(
            token, session.expires_at - now if session.persistent else None
        ),
    )


async def _take_back(key: str, store: SessionStore, now: float) -> None:
    """End a session that nobody holds, as soon as the store can be asked."""
    for pause in _TRIES:
        await asyncio.sleep(pause)
        with contextlib.suppress(StoreUnavailable):
            await store.end(key, now)
            return


def session_of(
    wanted: SignIn, device: Device | None, serving: Serving, tools: Tools, now: float
) -> Session:
    """Make the session of a sign-in.

    Raises:
        ValueError: it would not be readable as a record (ids with controls in them,
            more than 64 KiB).
    """
    return new_session(
        identity=wanted.identity,
        tenants=wanted.tenants,
        active_tenant=wanted.active_tenant_id,
        methods=wanted.methods,
        aal=wanted.aal,
        persistent=wanted.persistent and serving.cookie.persistent,
        device=device,
        now=now,
        policy=serving.lifetimes,
        session_id=new_session_id(tools),
    )


async def sign_out(
    which: Literal["this", "all"],
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> Sequence[str]:
    """End the session of the request, or all of its identity; clears the cookies.

    Raises:
        StoreUnavailable: it is not known whether anything ended.
    """
    now = tools.edge.now()
    held = credential_of(head, serving)
    if not isinstance(held, Anonymous):
        if serving.foreign is not None and await _is_guest(
            held, head, serving, tools, now
        ):
            # A session of nobody may be somebody's later, under the same id.
            return ()
        ended = await tools.store.end(held.key, now, "signed_out")
        if ended is not None:
            story.identity_id, story.session_id = ended.identity.id, ended.id
    # Not only if it lived to this moment: it did when the request was let in.
    if story.identity_id is not None:
        if which == "all":
            await tools.store.end_all(story.identity_id, now, None)
        tools.report.audit("sign_out", story, which=which)
    # The answer says goodbye: that the session ends must not break it off.
    story.session_key = None
    return serving.clear_cookies


async def _is_guest(
    held: Held, head: RequestHead, serving: Serving, tools: Tools, now: float
) -> bool:
    found = await look_up(held, head, serving, tools, now)
    return isinstance(found, Anonymous) and found.reason is Reason.NO_SESSION


def device_of(head: RequestHead) -> Device:
    """Describe the device of a request, for its owner to recognise."""
    agent = next((v for n, v in head.headers if n.lower() == _USER_AGENT), b"")
    return Device(
        ip_address=head.client, user_agent=agent.decode("utf-8", "replace")[:256]
    )


def new_session_id(tools: Tools) -> str:
    """Draw the public id of a session: a UUID, as the Ory SDK expects one."""
    drawn = bytearray(tools.edge.secret(16))
    # RFC 9562, section 5.4: version 4, variant 10.
    drawn[6] = drawn[6] & 0x0F | 0x40
    drawn[8] = drawn[8] & 0x3F | 0x80
    text = drawn.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
