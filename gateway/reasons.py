"""Every reason has one row: a stable word for machines, a page for people.

The word is the same in the log, the metric label, the problem+json body and the
tests. The sentence is all that the caller gets; the log has more.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """How a request ended: the `decision` of the log and of the metrics."""

    ALLOW = "allow"
    CHALLENGE = "challenge"
    DENY = "deny"
    REFUSE = "refuse"
    ERROR = "error"


class Reason(StrEnum):
    """Why a request ended as it did. Words stay; new ones may be added."""

    # allowed
    PUBLIC = "public"
    SIGNED_IN = "signed_in"
    NOT_SIGNED_IN = "not_signed_in"
    PREFLIGHT = "preflight"
    GATEWAY = "gateway"

    # who are you?
    NO_SESSION = "no_session"
    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    TWO_CREDENTIALS = "two_credentials"
    CREDENTIAL_NOT_TAKEN = "credential_not_taken"
    TOKEN_INVALID = "token_invalid"  # noqa: S105 - not a password
    UNKNOWN_SESSION = "unknown_session"
    SESSION_UNREADABLE = "session_unreadable"
    SESSION_EXPIRED = "session_expired"
    SESSION_IDLE = "session_idle"
    SESSION_REVOKED = "session_revoked"

    # not you
    NOT_ADMIN = "not_admin"
    ROLE_MISSING = "role_missing"
    TENANT_MISSING = "tenant_missing"
    TENANT_CONFLICT = "tenant_conflict"
    TENANT_ROLE_MISSING = "tenant_role_missing"
    NOT_A_MEMBER = "not_a_member"
    STEP_UP = "step_up"
    AAL_TOO_LOW = "aal_too_low"
    TOKEN_NOT_ALLOWED = "token_not_allowed"  # noqa: S105 - not a password
    ALREADY_SIGNED_IN = "already_signed_in"
    CROSS_SITE = "cross_site"
    NETWORK_NOT_ALLOWED = "network_not_allowed"
    SESSION_READ_ONLY = "session_read_only"

    # not signed in by a provider
    SIGN_IN_EXPIRED = "sign_in_expired"
    SIGN_IN_DECLINED = "sign_in_declined"
    SIGN_IN_NOT_KEPT = "sign_in_not_kept"
    STEP_UP_FAILED = "step_up_failed"
    ACCOUNT_NOT_ALLOWED = "account_not_allowed"
    EMAIL_UNVERIFIED = "email_unverified"
    CLAIM_MISSING = "claim_missing"
    ISSUER_MISMATCH = "issuer_mismatch"
    ID_TOKEN_INVALID = "id_token_invalid"  # noqa: S105 - not a password
    USERINFO_INVALID = "userinfo_invalid"
    LOGOUT_TOKEN_INVALID = "logout_token_invalid"  # noqa: S105 - not a password
    PROVIDER_REFUSED = "provider_refused"
    PROVIDER_BAD_ANSWER = "provider_bad_answer"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_TOKEN_EXPIRED = "provider_token_expired"  # noqa: S105 - a word

    # no such thing
    NO_ROUTE = "no_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MISDIRECTED = "misdirected"

    # not a valid request
    BAD_REQUEST = "bad_request"
    BAD_TARGET = "bad_target"
    BAD_HOST = "bad_host"
    BAD_HEADER = "bad_header"
    BAD_FRAMING = "bad_framing"
    BAD_UPGRADE = "bad_upgrade"
    BAD_VERSION = "bad_version"
    BAD_EXPECTATION = "bad_expectation"
    METHOD_UNKNOWN = "method_unknown"
    TARGET_TOO_LONG = "target_too_long"
    HEADERS_TOO_LARGE = "headers_too_large"
    BODY_TOO_LARGE = "body_too_large"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    REQUEST_TIMEOUT = "request_timeout"
    BAD_RETURN_TO = "bad_return_to"
    TLS_REQUIRED = "tls_required"
    CLIENT_LIMIT = "client_limit"
    PROXY_NOT_TRUSTED = "proxy_not_trusted"
    PROXY_HEADERS = "proxy_headers"

    # could not find out, could not reach
    STORE_UNAVAILABLE = "store_unavailable"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_BAD_ANSWER = "upstream_bad_answer"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_BUSY = "upstream_busy"
    DRAINING = "draining"
    UPSTREAM_CHANGED = "upstream_changed"
    CLIENT_GONE = "client_gone"
    INTERNAL = "internal"


# Looking up an enum member is slow (CPython 3.11), and these are for every request.
ALLOW: Final = Verdict.ALLOW
DENY: Final = Verdict.DENY
TOKEN_INVALID: Final = Reason.TOKEN_INVALID


class Action(StrEnum):
    """What the reader can do next."""

    SIGN_IN = "sign_in"
    CHOOSE_TENANT = "choose_tenant"
    RETRY = "retry"
    HOME = "home"


@dataclass(frozen=True, slots=True)
class Row:
    """Everything that goes with a reason.

    status    the status that it usually comes with
    heading   the heading of the page
    sentence  the explanation, for people and for programs (`detail`)
    action    what the page offers
    audited   whether a denial for this reason is an audit event
    """

    status: int
    heading: str
    sentence: str
    action: Action
    _: KW_ONLY
    audited: bool = False

    @property
    def retry_after(self) -> int | None:
        """Seconds to wait before another try: a store or an upstream is soon back."""
        return RETRY_AFTER if self.status in {429, 503} else None


RETRY_AFTER: Final = 2

_SIGN_IN_AGAIN: Final = "Please sign in again"
_ENDED: Final = "Your session has ended"
_NO_ACCESS: Final = "You don\N{RIGHT SINGLE QUOTATION MARK}t have access"
_UNREADABLE: Final = "This request can\N{RIGHT SINGLE QUOTATION MARK}t be read"
_NOT_ANSWERING: Final = "The application isn\N{RIGHT SINGLE QUOTATION MARK}t answering"
_NOT_POSSIBLE: Final = "This isn\N{RIGHT SINGLE QUOTATION MARK}t possible here"
_UNAVAILABLE: Final = "Temporarily unavailable"
_TOO_LARGE: Final = "Request too large"
_WHICH_TENANT: Final = "Which organization?"
_NOT_HERE: Final = "You may not sign in here"
_NO_SIGN_IN: Final = "You could not be signed in"
_PROVIDER_SILENT: Final = (
    "The sign-in service isn\N{RIGHT SINGLE QUOTATION MARK}t answering"
)

ROWS: Final[Mapping[Reason, Row]] = {
    # allowed
    Reason.PUBLIC: Row(
        200, "Open to everyone", "This page is open to everyone.", Action.HOME
    ),
    Reason.SIGNED_IN: Row(200, "You are signed in", "You are signed in.", Action.HOME),
    Reason.NOT_SIGNED_IN: Row(
        200, "You are not signed in", "You are not signed in.", Action.HOME
    ),
    Reason.PREFLIGHT: Row(
        200, "Preflight", "A CORS preflight carries no session.", Action.HOME
    ),
    Reason.GATEWAY: Row(200, "Done", "The gateway itself responded.", Action.HOME),
    # not authenticated
    Reason.NO_SESSION: Row(
        401, "Please sign in", "Sign in to see this page.", Action.SIGN_IN
    ),
    Reason.MALFORMED: Row(
        401,
        _SIGN_IN_AGAIN,
        "The session cookie could not be read. Sign in again.",
        Action.SIGN_IN,
    ),
    Reason.BAD_SIGNATURE: Row(
        401,
        _SIGN_IN_AGAIN,
        "The session cookie could not be verified. Sign in again.",
        Action.SIGN_IN,
    ),
    Reason.TWO_CREDENTIALS: Row(
        401,
        _SIGN_IN_AGAIN,
        "The request carries two credentials. Send one of them.",
        Action.SIGN_IN,
    ),
    Reason.CREDENTIAL_NOT_TAKEN: Row(
        401,
        "Please sign in",
        "This address does not take this kind of credential.",
        Action.SIGN_IN,
    ),
    Reason.TOKEN_INVALID: Row(
        401,
        _SIGN_IN_AGAIN,
        "This credential is not valid here.",
        Action.SIGN_IN,
        audited=True,
    ),
    Reason.UNKNOWN_SESSION: Row(
        401, _SIGN_IN_AGAIN, "This session is unknown. Sign in again.", Action.SIGN_IN
    ),
    Reason.SESSION_UNREADABLE: Row(
        401,
        _SIGN_IN_AGAIN,
        "This session could not be read. Sign in again.",
        Action.SIGN_IN,
    ),
    Reason.SESSION_EXPIRED: Row(
        401, _ENDED, "Your session has expired. Sign in again.", Action.SIGN_IN
    ),
    Reason.SESSION_IDLE: Row(
        401,
        _ENDED,
        "Your session ended because it was not used. Sign in again.",
        Action.SIGN_IN,
    ),
    Reason.SESSION_REVOKED: Row(
        401, _ENDED, "Your session was ended. Sign in again.", Action.SIGN_IN
    ),
    # authenticated, not authorised
    Reason.NOT_ADMIN: Row(
        403, _NO_ACCESS, "This page is for administrators.", Action.HOME, audited=True
    ),
    Reason.ROLE_MISSING: Row(
        403,
        _NO_ACCESS,
        "Your account does not have the role that this page needs.",
        Action.HOME,
    ),
    Reason.TENANT_MISSING: Row(
        403, _WHICH_TENANT, "Choose an organization first.", Action.CHOOSE_TENANT
    ),
    Reason.TENANT_CONFLICT: Row(
        403,
        _WHICH_TENANT,
        "The request names two different organizations.",
        Action.HOME,
        audited=True,
    ),
    Reason.TENANT_ROLE_MISSING: Row(
        403,
        _NO_ACCESS,
        "Your role in this organization does not allow this.",
        Action.HOME,
    ),
    Reason.NOT_A_MEMBER: Row(
        403,
        _NO_ACCESS,
        "You are not a member of this organization.",
        Action.HOME,
        audited=True,
    ),
    Reason.STEP_UP: Row(
        403,
        "Confirm your identity",
        "Confirm your identity: sign in again to continue.",
        Action.SIGN_IN,
    ),
    Reason.AAL_TOO_LOW: Row(
        403, "One more step", "This page needs a second factor.", Action.SIGN_IN
    ),
    Reason.TOKEN_NOT_ALLOWED: Row(
        403,
        _NO_ACCESS,
        "A program may not do this: it needs a user who signed in.",
        Action.HOME,
        audited=True,
    ),
    Reason.ALREADY_SIGNED_IN: Row(
        403, "You are signed in", "You are signed in already.", Action.HOME
    ),
    Reason.CROSS_SITE: Row(
        403,
        "This request was stopped",
        "This request came from another site.",
        Action.HOME,
        audited=True,
    ),
    Reason.NETWORK_NOT_ALLOWED: Row(
        403, _NO_ACCESS, "Access is not allowed from your network.", Action.HOME
    ),
    Reason.SESSION_READ_ONLY: Row(
        409,
        _NOT_POSSIBLE,
        "The application manages this session: change it there.",
        Action.HOME,
    ),
    # not signed in by a provider
    Reason.SIGN_IN_EXPIRED: Row(
        400,
        "This sign-in is too old",
        "This sign-in was not completed in time, or was already used. Start again.",
        Action.SIGN_IN,
    ),
    Reason.SIGN_IN_DECLINED: Row(
        403,
        _NO_SIGN_IN,
        "The sign-in was canceled at the sign-in service.",
        Action.SIGN_IN,
    ),
    Reason.SIGN_IN_NOT_KEPT: Row(
        400,
        _NO_SIGN_IN,
        "The sign-in succeeded, but the browser did not keep it. Allow cookies for "
        "this site, then sign in again.",
        Action.SIGN_IN,
    ),
    Reason.STEP_UP_FAILED: Row(
        403,
        "Confirm your identity",
        "The sign-in service did not confirm the sign-in that this page needs.",
        Action.SIGN_IN,
    ),
    Reason.ACCOUNT_NOT_ALLOWED: Row(
        403, _NOT_HERE, "This account may not sign in here.", Action.HOME
    ),
    Reason.EMAIL_UNVERIFIED: Row(
        403,
        _NOT_HERE,
        "The e-mail address of this account is not verified.",
        Action.HOME,
    ),
    Reason.CLAIM_MISSING: Row(
        403,
        _NOT_HERE,
        "The sign-in service did not send what is needed to sign you in.",
        Action.HOME,
    ),
    Reason.ISSUER_MISMATCH: Row(
        400,
        _NO_SIGN_IN,
        "The answer is from another sign-in service. Start again.",
        Action.SIGN_IN,
    ),
    Reason.ID_TOKEN_INVALID: Row(
        502,
        _NO_SIGN_IN,
        "The answer of the sign-in service could not be verified.",
        Action.SIGN_IN,
    ),
    Reason.USERINFO_INVALID: Row(
        502,
        _NO_SIGN_IN,
        "The account details of the sign-in service do not match.",
        Action.SIGN_IN,
    ),
    Reason.LOGOUT_TOKEN_INVALID: Row(
        400,
        _UNREADABLE,
        "The request of the sign-in service is not valid.",
        Action.HOME,
    ),
    Reason.PROVIDER_REFUSED: Row(
        502,
        _NO_SIGN_IN,
        "The sign-in service refused the request of this site.",
        Action.SIGN_IN,
    ),
    Reason.PROVIDER_BAD_ANSWER: Row(
        502,
        _NO_SIGN_IN,
        "The sign-in service returned an invalid response.",
        Action.SIGN_IN,
    ),
    Reason.PROVIDER_UNAVAILABLE: Row(
        503,
        _PROVIDER_SILENT,
        "The sign-in service cannot be reached right now. Try again soon.",
        Action.SIGN_IN,
    ),
    Reason.PROVIDER_TOKEN_EXPIRED: Row(
        503,
        _UNAVAILABLE,
        "Your access to this application is being renewed. Try again in a moment.",
        Action.RETRY,
    ),
    # no such thing
    Reason.NO_ROUTE: Row(
        404, "Page not found", "There is nothing at this address.", Action.HOME
    ),
    Reason.METHOD_NOT_ALLOWED: Row(
        405, _NOT_POSSIBLE, "This address does not support that method.", Action.HOME
    ),
    Reason.MISDIRECTED: Row(
        421, "Wrong address", "This host is not served here.", Action.HOME
    ),
    # not a valid request
    Reason.BAD_REQUEST: Row(
        400, _UNREADABLE, "The request could not be read.", Action.HOME
    ),
    Reason.BAD_TARGET: Row(
        400,
        _UNREADABLE,
        "The address in the request is ambiguous or malformed.",
        Action.HOME,
    ),
    Reason.BAD_HOST: Row(
        400,
        _UNREADABLE,
        "The Host of the request is missing or malformed.",
        Action.HOME,
    ),
    Reason.BAD_HEADER: Row(
        400, _UNREADABLE, "A header of the request is malformed.", Action.HOME
    ),
    Reason.BAD_FRAMING: Row(
        400, _UNREADABLE, "The length of the request is ambiguous.", Action.HOME
    ),
    Reason.BAD_UPGRADE: Row(
        400, _UNREADABLE, "The WebSocket upgrade is malformed.", Action.HOME
    ),
    Reason.BAD_VERSION: Row(
        505, _NOT_POSSIBLE, "Only HTTP/1.1 and HTTP/1.0 are supported.", Action.HOME
    ),
    Reason.BAD_EXPECTATION: Row(
        417, _NOT_POSSIBLE, "The expectation of the request cannot be met.", Action.HOME
    ),
    Reason.METHOD_UNKNOWN: Row(
        501, _NOT_POSSIBLE, "This method is not supported.", Action.HOME
    ),
    Reason.TARGET_TOO_LONG: Row(
        414, "Address too long", "The address in the request is too long.", Action.HOME
    ),
    Reason.HEADERS_TOO_LARGE: Row(
        431, _TOO_LARGE, "The headers of the request are too large.", Action.HOME
    ),
    Reason.BODY_TOO_LARGE: Row(
        413, _TOO_LARGE, "The body of the request is too large.", Action.HOME
    ),
    Reason.TOO_MANY_ATTEMPTS: Row(
        429,
        "Please wait a moment",
        "Too many failed attempts from your network. Try again later.",
        Action.RETRY,
    ),
    Reason.REQUEST_TIMEOUT: Row(
        408, "That took too long", "The request did not arrive in time.", Action.RETRY
    ),
    Reason.BAD_RETURN_TO: Row(
        400,
        "Address not allowed",
        "The address to return to is not allowed.",
        Action.HOME,
    ),
    Reason.TLS_REQUIRED: Row(
        400, _UNREADABLE, "This port takes HTTPS only.", Action.HOME
    ),
    Reason.CLIENT_LIMIT: Row(
        429,
        "That was too much at once",
        "Too many requests at one time. Try again soon.",
        Action.RETRY,
    ),
    Reason.PROXY_NOT_TRUSTED: Row(
        403,
        _NOT_POSSIBLE,
        "Decisions are returned to trusted proxies only.",
        Action.HOME,
    ),
    Reason.PROXY_HEADERS: Row(
        400,
        _UNREADABLE,
        "The proxy did not describe the request.",
        Action.HOME,
    ),
    # failures
    Reason.STORE_UNAVAILABLE: Row(
        503,
        _UNAVAILABLE,
        "Sessions cannot be checked right now. Try again soon.",
        Action.RETRY,
    ),
    Reason.UPSTREAM_UNREACHABLE: Row(
        502,
        _NOT_ANSWERING,
        "The application cannot be reached right now.",
        Action.RETRY,
    ),
    Reason.UPSTREAM_BAD_ANSWER: Row(
        502,
        "Invalid response",
        "The application returned an invalid response.",
        Action.RETRY,
    ),
    Reason.UPSTREAM_TIMEOUT: Row(
        504, _NOT_ANSWERING, "The application took too long to answer.", Action.RETRY
    ),
    Reason.UPSTREAM_BUSY: Row(
        503, _UNAVAILABLE, "The application is busy. Try again soon.", Action.RETRY
    ),
    Reason.DRAINING: Row(
        503, _UNAVAILABLE, "The gateway is restarting. Try again.", Action.RETRY
    ),
    Reason.UPSTREAM_CHANGED: Row(
        503,
        "The application has moved",
        "The application has moved. Connect again.",
        Action.RETRY,
    ),
    Reason.CLIENT_GONE: Row(
        400, "The connection was lost", "The client went away.", Action.RETRY
    ),
    Reason.INTERNAL: Row(
        500,
        "Something went wrong",
        "Something went wrong in the gateway.",
        Action.RETRY,
    ),
}
"""Total: every reason has its row."""
