"""Tracks the sessions of an application by the cookies in its responses.

* The response sets a session that the request did not have: it starts now. Most
  libraries do not store the time of a sign-in. A session that keeps its id keeps its
  start; a session whose start was not seen counts as older than any limit.
* The response removes the cookie of the request's session: the application signed the
  user out. The gateway revokes the session, so that a library that writes the record
  again, for a concurrent request, does not restore it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.errors import StoreUnavailable
from gateway.http.response_fields import COOKIE
from gateway.observe.audit_events import SignedOut
from gateway.proxy.response import UpstreamResponse
from gateway.server.context import RequestContext
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.formats.credential import Credential, read_credential
from gateway.sessions.formats.profile import Profile
from gateway.sessions.record import Session
from gateway.sessions.store import SessionCredential
from gateway.spine.credential import credential_of

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

# RFC 9110, section 9.2.1: safe methods do not sign in.
_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class CookieChanges:
    """The sessions that a response sets, and whether it removes the cookie."""

    set: tuple[Credential, ...]
    taken_back: bool


def cookie_changes(headers: Headers, profile: Profile) -> CookieChanges:
    """Return how a response changes the session cookie; pure.

    Of several lines for the cookie the last one decides, as in a browser (RFC 6265,
    section 5.3): a library may remove a session and set another in one response.
    """
    lines = tuple(_session_cookies(headers, profile))
    removed = [_takes_back(pair, attributes) for pair, attributes in lines]
    found = (read_credential(profile, [pair]) for pair, _ in lines)
    begun = tuple(each for each in found if isinstance(each, Credential))
    taken_back = bool(removed) and removed[-1]
    return CookieChanges(set=() if taken_back else begun, taken_back=taken_back)


def may_track(response: UpstreamResponse, context: RequestContext) -> bool:
    """Return whether `track_app_cookies` has anything to do for a response."""
    return context.rules.external is not None and (
        bool(response.received.roles & COOKIE) or _is_visitor(context)
    )


def _is_visitor(context: RequestContext) -> bool:
    """Return whether the request may begin a session, and was made without one."""
    return context.principal.session_key is None and context.head.method not in _SAFE


async def track_app_cookies(headers: Headers, context: RequestContext) -> None:
    """Record started and ended sessions before the response is sent.

    An outage of the store is logged and does not fail the response: a session without
    a recorded start counts as old, and the application itself ended the other one.
    """
    profile, app_managed = context.rules.external, context.services.app_managed
    if profile is None or app_managed is None:
        return
    changes = cookie_changes(headers, profile)
    visitor = _is_visitor(context)
    if not (changes.set or changes.taken_back or visitor):
        return
    found = credential_of(context.head, context.rules)
    held = None if isinstance(found, Anonymous) else found
    now = context.now
    try:
        if profile.created is None:
            await _note_beginnings(changes.set, held, app_managed, now, visitor=visitor)
        # Only if the request was authenticated with this session.
        if (
            changes.taken_back
            and held is not None
            and held.key == context.principal.session_key
            and all(each.key != held.key for each in changes.set)
        ):
            context.audit(SignedOut(everywhere=False))
            context.keep_without_session()
            await app_managed.end(held.key, now, "signed_out")
    except StoreUnavailable as error:
        context.services.report.request_failed(context, error)


async def signs_in(headers: Headers, context: RequestContext) -> bool:
    """Return whether the user is signed in after a response of the application.

    That is by a session that it sets, or by that of the request if the library keeps
    the id. True if the store is unavailable, so that no failed attempt is counted.
    """
    profile, app_managed = context.rules.external, context.services.app_managed
    if profile is None or app_managed is None:
        return False
    held = credential_of(context.head, context.rules)
    begun = cookie_changes(headers, profile).set
    now = context.now
    try:
        for each in (*begun, *(() if isinstance(held, Anonymous) else (held,))):
            if isinstance(await app_managed.look_up(each, now), Session):
                return True
    except StoreUnavailable:
        return True
    return False


async def _note_beginnings(
    begun: Sequence[Credential],
    held: SessionCredential | None,
    app_managed: ExternalStore,
    now: float,
    *,
    visitor: bool,
) -> None:
    """Record the start of new ids; for a day only unless the user is signed in.

    Some applications start a session for every visitor, crawlers included.
    """
    for credential in begun:
        if held is None or credential.key != held.key:
            signed_in = isinstance(await app_managed.look_up(credential, now), Session)
            await app_managed.notes.began(credential.key, now, brief=not signed_in)
    # A sign-in that keeps the visitor's id keeps its recorded start.
    if visitor and held is not None:
        found = await app_managed.look_up(held, now)
        if isinstance(found, Session):
            await app_managed.notes.keep_beginning(held.key)


def _session_cookies(
    headers: Headers, profile: Profile
) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name.lower() == b"set-cookie" and profile.cookie_name in value:
            # RFC 6265, section 5.2: the pair ends at the first ";".
            pair, _, attributes = value.partition(b";")
            if pair.partition(b"=")[0].strip(b" \t") == profile.cookie_name:
                yield pair, attributes


def _takes_back(pair: bytes, attributes: bytes) -> bool:
    """Return whether a Set-Cookie value removes the cookie with path `/`.

    Another path or domain is another cookie (RFC 6265, section 5.3, step 11), not the
    one that the request has.
    """
    attribute_values = {}
    for attribute in attributes.lower().split(b";"):
        key, _, value = attribute.partition(b"=")
        attribute_values[key.strip(b" \t")] = value.strip(b" \t")
    if attribute_values.get(b"path") != b"/":
        return False
    gone = attribute_values.get(b"max-age", b"").lstrip(b"-")
    if b"max-age" in attribute_values:
        return gone.isdigit() and (
            int(gone[:12]) == 0 or attribute_values[b"max-age"][:1] == b"-"
        )
    empty = pair.partition(b"=")[2].strip(b' \t"') == b""
    # Libraries set the epoch, or the second after it.
    return b"1970" in attribute_values.get(b"expires", b"") or (
        empty and b"expires" in attribute_values
    )
