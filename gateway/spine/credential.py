"""The session credential of a request, and the cookies that are forwarded.

The one place where a cookie becomes a credential: routes and the gateway's own
endpoints read it here, so that a cookie means the same in all of them.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum, auto
from typing import Final, assert_never

from gateway.http.authorization import (
    CredentialKind,
    NoAuthorization,
    Repeated,
    Sent,
    Unreadable,
    read_authorization,
)
from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.routes.model import COOKIE_ALONE
from gateway.sessions.access_token import AccessToken, read_access_token
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.cookie import (
    Malformed,
    NoCookie,
    SessionToken,
    strip_cookie,
)
from gateway.sessions.end_word import read_end
from gateway.sessions.formats.credential import Credential, other_credential
from gateway.sessions.provider_token import ProviderToken, read_provider_token
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


def credential_among(
    head: RequestHead, rules: Ruleset, taken: AbstractSet[CredentialKind]
) -> SessionCredential | Anonymous:
    """Return the credential of a request where it may be in the Authorization field.

    A request has one credential (invariant 17): one with a session cookie as well as an
    Authorization field, or with two of these, has none, whatever they hold. Nor has one
    that carries it in a way that is not among those `taken`.
    """
    if taken == COOKIE_ALONE:
        return credential_of(head, rules)
    given = read_authorization(head.lines)
    without_cookie = isinstance(rules.read_cookies(head.cookies), NoCookie)
    if isinstance(given, NoAuthorization):
        if CredentialKind.COOKIE in taken:
            return credential_of(head, rules)
        missing = Reason.NO_SESSION if without_cookie else Reason.CREDENTIAL_NOT_TAKEN
        return Anonymous(reason=missing)
    if not without_cookie or isinstance(given, Repeated):
        return Anonymous(reason=Reason.TWO_CREDENTIALS, sent=CredentialKind.BEARER)
    kind = _KINDS.get(given.scheme)
    if kind is None or kind not in taken:
        sent = kind or CredentialKind.BEARER
        return Anonymous(reason=Reason.CREDENTIAL_NOT_TAKEN, sent=sent)
    match given:
        case Unreadable():
            return Anonymous(reason=Reason.MALFORMED, sent=kind)
        case Sent(secret=secret):
            token = _token_in(secret, kind, rules)
            return token or Anonymous(reason=Reason.MALFORMED, sent=kind)
        case _ as never:
            assert_never(never)


def token_of(head: RequestHead, rules: Ruleset) -> AccessToken | ProviderToken | None:
    """Return the access token in the Authorization field; None if it holds another."""
    given = read_authorization(head.lines)
    if not isinstance(given, Sent) or given.scheme not in _KINDS:
        return None
    return _token_in(given.secret, _KINDS[given.scheme], rules)


def _token_in(
    secret: str, kind: CredentialKind, rules: Ruleset
) -> AccessToken | ProviderToken | None:
    """Return the access token that a secret is; None if it cannot be one.

    A password is never a token of a provider: those are sent as RFC 6750 says.
    """
    token = read_access_token(secret, kind)
    if token is None and rules.token_issuers and kind is CredentialKind.BEARER:
        return read_provider_token(secret, rules.token_issuers)
    return token


def credential_of_own(
    head: RequestHead, rules: Ruleset
) -> SessionCredential | Anonymous:
    """Return the credential of a request to one of the gateway's own endpoints.

    An Authorization field that holds no access token is not for the gateway, and
    changes nothing: a proxy in front of a test site may require it.
    """
    token = token_of(head, rules) if rules.takes_tokens else None
    if token is None:
        return credential_of(head, rules)
    if isinstance(rules.read_cookies(head.cookies), NoCookie):
        return token
    return Anonymous(reason=Reason.TWO_CREDENTIALS, sent=token.kind)


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


_KINDS: Final[Mapping[str, CredentialKind]] = {
    kind.value: kind for kind in (CredentialKind.BEARER, CredentialKind.BASIC)
}


class _Withhold(Enum):
    ALL = auto()
    SESSION = auto()


# Any other reason withholds nothing. A cookie that parsers read differently cannot
# be cut out for all of them, so none of the request's cookies is forwarded.
_WITHHELD: Final[Mapping[Reason, _Withhold]] = {
    Reason.MALFORMED: _Withhold.ALL,
    Reason.BAD_SIGNATURE: _Withhold.SESSION,
    Reason.TWO_CREDENTIALS: _Withhold.SESSION,
    Reason.CREDENTIAL_NOT_TAKEN: _Withhold.SESSION,
    Reason.SESSION_REVOKED: _Withhold.SESSION,
    Reason.STORE_UNAVAILABLE: _Withhold.SESSION,
    Reason.PROVIDER_UNAVAILABLE: _Withhold.SESSION,
    # Fetch, section 3.3: a genuine preflight has no cookie.
    Reason.PREFLIGHT: _Withhold.SESSION,
}
