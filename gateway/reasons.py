"""Every no has a reason: one stable word for machines, one sentence for people.

The word is the same in the log, the metric label, the problem+json body and the
tests. The sentence is all that the caller hears; the log hears more.
"""

from enum import StrEnum


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
    ALREADY_SIGNED_IN = "already_signed_in"
    CROSS_SITE = "cross_site"
    NETWORK_NOT_ALLOWED = "network_not_allowed"
    SESSION_READ_ONLY = "session_read_only"

    # no such thing
    NO_ROUTE = "no_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MISDIRECTED = "misdirected"

    # not a request we take
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


SENTENCES: dict[Reason, str] = {
    Reason.PUBLIC: "This page is open to everyone.",
    Reason.SIGNED_IN: "You are signed in.",
    Reason.NOT_SIGNED_IN: "You are not signed in, as this page asks.",
    Reason.PREFLIGHT: "A CORS preflight carries no session.",
    Reason.GATEWAY: "The gateway answered this itself.",
    Reason.NO_SESSION: "Sign in to see this page.",
    Reason.MALFORMED: "The session cookie could not be read. Sign in again.",
    Reason.BAD_SIGNATURE: "The session cookie could not be verified. Sign in again.",
    Reason.TWO_CREDENTIALS: "The request carries two credentials. Send one of them.",
    Reason.UNKNOWN_SESSION: "This session is not known here. Sign in again.",
    Reason.SESSION_UNREADABLE: "This session could not be read. Sign in again.",
    Reason.SESSION_EXPIRED: "Your session has expired. Sign in again.",
    Reason.SESSION_IDLE: "Your session ended because it was not used. Sign in again.",
    Reason.SESSION_REVOKED: "Your session was ended. Sign in again.",
    Reason.NOT_ADMIN: "This page is for administrators.",
    Reason.ROLE_MISSING: "Your account does not have the role that this page needs.",
    Reason.TENANT_MISSING: "Choose an organisation first.",
    Reason.TENANT_CONFLICT: "The request names two different organisations.",
    Reason.TENANT_ROLE_MISSING: "Your role in this organisation does not allow this.",
    Reason.NOT_A_MEMBER: "You are not a member of this organisation.",
    Reason.STEP_UP: "Confirm that it is you: sign in again to go on.",
    Reason.AAL_TOO_LOW: "This page needs a second factor.",
    Reason.ALREADY_SIGNED_IN: "You are signed in already.",
    Reason.CROSS_SITE: "This request came from another site.",
    Reason.NETWORK_NOT_ALLOWED: "Access is not allowed from your network.",
    Reason.SESSION_READ_ONLY: "The application keeps this session: change it there.",
    Reason.NO_ROUTE: "There is nothing at this address.",
    Reason.METHOD_NOT_ALLOWED: "This address does not take that method.",
    Reason.MISDIRECTED: "This host is not served here.",
    Reason.BAD_REQUEST: "The request could not be read.",
    Reason.BAD_TARGET: "The address in the request is ambiguous or malformed.",
    Reason.BAD_HOST: "The Host of the request is missing or malformed.",
    Reason.BAD_HEADER: "A header of the request is malformed.",
    Reason.BAD_FRAMING: "The length of the request cannot be told for certain.",
    Reason.BAD_UPGRADE: "The protocol that the request asks for is not offered.",
    Reason.BAD_VERSION: "Only HTTP/1.1 and HTTP/1.0 are spoken here.",
    Reason.BAD_EXPECTATION: "The expectation of the request cannot be met.",
    Reason.METHOD_UNKNOWN: "This method is not offered.",
    Reason.TARGET_TOO_LONG: "The address in the request is too long.",
    Reason.HEADERS_TOO_LARGE: "The headers of the request are too large.",
    Reason.BODY_TOO_LARGE: "The body of the request is too large.",
    Reason.TOO_MANY_ATTEMPTS: "Too many failed attempts from your network. Try again later.",
    Reason.REQUEST_TIMEOUT: "The request did not arrive in time.",
    Reason.BAD_RETURN_TO: "The address to return to is not allowed.",
    Reason.TLS_REQUIRED: "This port takes HTTPS only.",
    Reason.CLIENT_LIMIT: "Too many requests at one time. Try again soon.",
    Reason.STORE_UNAVAILABLE: "Sessions cannot be checked right now. Try again soon.",
    Reason.UPSTREAM_UNREACHABLE: "The application cannot be reached right now.",
    Reason.UPSTREAM_BAD_ANSWER: "The application gave an answer that cannot be passed on.",
    Reason.UPSTREAM_TIMEOUT: "The application took too long to answer.",
    Reason.UPSTREAM_BUSY: "The application is busy. Try again soon.",
    Reason.DRAINING: "The gateway is restarting. Try again.",
    Reason.UPSTREAM_CHANGED: "The application has moved. Connect again.",
    Reason.CLIENT_GONE: "The client went away.",
    Reason.INTERNAL: "Something went wrong in the gateway.",
}
