"""What an app's answer tells of its sessions: that one begins, that one is over.

The app does not ask the gateway, but it sets its cookie through it.

* A session is set that the request did not come with: it begins now. Most libraries
  do not write down when somebody signed in. One that lives on under its id began
  when that id did; what is not seen here counts as older than anything.
* The cookie of the session that the request came with is taken back: the app has
  signed it out. From here on it is ended for us as well, so that a library that
  writes the record anew, for another request in flight, brings nobody back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.errors import StoreUnavailable
from gateway.observe.audit import SignedOut
from gateway.server.context import RequestContext
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.formats.credential import Credential, read_credential
from gateway.sessions.formats.profile import Profile
from gateway.sessions.record import Session
from gateway.sessions.store import SessionCredential
from gateway.spine.credential import credential_of

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

# RFC 9110, section 9.2.1: nobody signs in by these.
_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class CookieChanges:
    """The sessions that an answer sets, and whether it takes one back."""

    set: tuple[Credential, ...]
    taken_back: bool


def cookie_changes(headers: Headers, profile: Profile) -> CookieChanges:
    """Read what an answer does to the session cookie; pure."""
    lines = tuple(_session_cookies(headers, profile))
    found = (read_credential(profile, [pair]) for pair, _ in lines)
    return CookieChanges(
        set=tuple(each for each in found if isinstance(each, Credential)),
        taken_back=any(_takes_back(pair, attributes) for pair, attributes in lines),
    )


async def track_app_cookies(headers: Headers, context: RequestContext) -> None:
    """Note what began and what ended, before the answer is sent.

    An outage of the store loses the note and not the answer: a session that was
    not seen to begin counts as old, and one that the app ended is gone by its word.
    """
    profile, app_managed = context.rules.external, context.services.app_managed
    if profile is None or app_managed is None:
        return
    changes = cookie_changes(headers, profile)
    visitor = context.session_key is None and context.head.method not in _SAFE
    if not (changes.set or changes.taken_back or visitor):
        return
    found = credential_of(context.head, context.rules)
    held = None if isinstance(found, Anonymous) else found
    now = context.now
    try:
        if profile.created is None:
            await _note_beginnings(changes.set, held, app_managed, now, visitor=visitor)
        # Only of who was let in with it: nobody else's word ends a session.
        if (
            changes.taken_back
            and held is not None
            and held.key == context.session_key
            and all(each.key != held.key for each in changes.set)
        ):
            context.audit(SignedOut(everywhere=False))
            # The answer says goodbye: that the session ends must not break it off.
            context.session_key = None
            await app_managed.end(held.key, now, "signed_out")
    except StoreUnavailable as error:
        context.services.report.request_failed(context, error)


async def signs_in(headers: Headers, context: RequestContext) -> bool:
    """Return whether an app's answer leaves its caller signed in.

    By a session that it sets, or by the one of the request, where the library goes on
    under the same id. True where the store cannot be asked: nobody is blamed for that.
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
    """Note new ids; those of visitors for a day only, unless they sign in by then.

    Some apps give each visitor a session, robots too: what the gateway notes of
    them has to be less than what the app keeps.
    """
    for credential in begun:
        if held is None or credential.key != held.key:
            somebody = isinstance(await app_managed.look_up(credential, now), Session)
            await app_managed.began(credential.key, now, brief=not somebody)
    # A sign-in under the id that the visitor had: the time stays that of the id.
    if visitor and held is not None:
        found = await app_managed.look_up(held, now)
        if isinstance(found, Session):
            await app_managed.keep_beginning(held.key)


def _session_cookies(
    headers: Headers, profile: Profile
) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name.lower() == b"set-cookie" and profile.cookie_name in value:
            # RFC 6265, section 5.2: the pair is what stands before the first ";".
            pair, _, attributes = value.partition(b";")
            if pair.partition(b"=")[0].strip(b" \t") == profile.cookie_name:
                yield pair, attributes


def _takes_back(pair: bytes, attributes: bytes) -> bool:
    """Tell whether a Set-Cookie line removes the cookie of the whole site.

    Another path or domain is another cookie (RFC 6265, section 5.3, step 11): what
    an app tidies up there is not the one that the request came with.
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
    # Every library writes the epoch, or the second after it.
    return b"1970" in attribute_values.get(b"expires", b"") or (
        empty and b"expires" in attribute_values
    )
