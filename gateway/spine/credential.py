"""The session credential of a request, and the cookies that are forwarded.

The one place where a cookie becomes a credential: routes and the gateway's own
endpoints read it here, so that a cookie means the same in all of them.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.cookie import (
    Malformed,
    NoCookie,
    SessionToken,
    strip_cookie,
)
from gateway.sessions.end_word import read_end
from gateway.sessions.formats.credential import Credential, other_credential
from gateway.sessions.store import SessionCredential
from gateway.spine.ruleset import Ruleset


def credential_of(head: RequestHead, rules: Ruleset) -> SessionCredential | Anonymous:
    """Return the session credential of a request, or why it has none.

    Without a session cookie the reason is that of the session that ended here last, if
    its word is still kept (`gateway_ended`).

    With the sessions of an app, a header that the app would read as another session
    makes the request unauthenticated: the app and the gateway would see two users.
    """
    found = rules.read_cookies(head.cookies)
    match found:
        case SessionToken() as token:
            return token
        case NoCookie():
            return Anonymous(reason=read_end(head.cookies) or Reason.NO_SESSION)
        case Malformed(reason=reason, twice=twice):
            return Anonymous(reason=reason, twice=twice)
        case Credential() as credential:
            if other_credential(credential.profile, head.headers) is not None:
                return Anonymous(reason=Reason.TWO_CREDENTIALS)
            return credential


def cookies_to_forward(
    head: RequestHead, authentication: Authentication, rules: Ruleset
) -> Sequence[bytes]:
    """Return the Cookie values that an upstream may see, as far as the session decides.

    An app that reads its own session cookie must not find a user there where the
    gateway found none. A cookie that the app would not accept either may pass.
    """
    if rules.external is None or isinstance(authentication, Authenticated):
        return head.cookies
    match _WITHHELD.get(authentication.reason):
        case None:
            return head.cookies
        case _Withhold.ALL:
            return ()
        case _Withhold.SESSION:
            left = strip_cookie(head.cookies, frozenset((rules.cookie_name,)))
            return () if left is None else (left,)


class _Withhold(Enum):
    ALL = auto()
    SESSION = auto()


# Any other reason withholds nothing. A cookie that parsers read differently cannot
# be cut out for all of them, so none of the request's cookies is forwarded.
_WITHHELD: Final[Mapping[Reason, _Withhold]] = {
    Reason.MALFORMED: _Withhold.ALL,
    Reason.BAD_SIGNATURE: _Withhold.SESSION,
    Reason.TWO_CREDENTIALS: _Withhold.SESSION,
    Reason.SESSION_REVOKED: _Withhold.SESSION,
    Reason.STORE_UNAVAILABLE: _Withhold.SESSION,
    # Fetch, section 3.3: a genuine preflight has no cookie.
    Reason.PREFLIGHT: _Withhold.SESSION,
}
