"""The challenges of a 401: which credentials a route takes (RFC 9110, section 11); pure."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from gateway.http.authorization import CredentialKind
from gateway.http.challenge import basic_challenge, bearer_challenge, session_challenge
from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.routes.model import Route

Headers: TypeAlias = tuple[tuple[str, str], ...]


def challenges_of(
    route: Route,
    head: RequestHead,
    realm: str,
    *,
    error: str | None = None,
    description: str | None = None,
) -> Headers:
    """Return a challenge for each way that the route takes a credential.

    A browser opens its own password dialog for Basic, also above a page that only
    fetched something: a request of a script is not offered it if there is another.
    """
    kinds = route.credentials
    headers: Headers = ()
    if CredentialKind.BEARER in kinds:
        headers += (bearer_challenge(realm, error=error, description=description),)
    alone = kinds == _BASIC_ALONE
    if CredentialKind.BASIC in kinds and (alone or not _is_script(head)):
        headers += (basic_challenge(realm),)
    if route.takes_cookie:
        headers += (session_challenge(realm),)
    return headers


def _is_script(head: RequestHead) -> bool:
    """Return whether a page's script sent the request; programs have none of these."""
    return (
        head.sec_fetch_mode is not None
        or head.sec_fetch_site is not None
        or head.requested_with is not None
    )


_BASIC_ALONE: Final = frozenset((CredentialKind.BASIC,))
TOKEN_SENTENCES: Final[Mapping[Reason, str]] = {
    Reason.NO_SESSION: "Send an access token.",
    Reason.MALFORMED: "This is not an access token of this site, or not all of one.",
    Reason.TOKEN_INVALID: "This access token is not valid here.",
    Reason.UNKNOWN_SESSION: "This access token is unknown.",
    Reason.SESSION_UNREADABLE: "This access token could not be read.",
    Reason.SESSION_EXPIRED: "This access token has expired.",
    Reason.SESSION_REVOKED: "This access token was revoked.",
}
"""The sentence for a program, instead of that about a session."""
