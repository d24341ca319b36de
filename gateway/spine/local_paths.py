"""The paths that the gateway answers itself on the public listener.

| path | response |
| --- | --- |
| `GET /.gateway/jwks.json`, `/.well-known/jwks.json` | the public keys of the tokens |
| `GET /.gateway/token` | a short-lived token for a page |
| `POST /.gateway/logout` | ends the session, clears every cookie of the gateway |
| `POST /.gateway/tenant` | makes another membership the active tenant |
| `GET /.gateway/account` | page: identity, tenants, devices |
| `POST /.gateway/account/end`, `/end-others` | ends another session, or all others |
| `GET /.gateway/session.js` | script: notifies a page when its session ends |
| `GET /.gateway/session` | what the script polls: which session, or why none |
| `GET /.gateway/sign-in`, `/sign-in/{provider}` | begins a sign-in with a provider |
| `GET /.gateway/sign-in/{provider}/callback` | the provider's answer to it |
| `POST /.gateway/sign-in/{provider}/backchannel-logout` | a provider ends sessions |
| `GET /.gateway/sign-in/{provider}/frontchannel-logout` | the same, in a frame of its page |
| `GET /.gateway/signed-out` | page for users who signed out |
| `/.gateway/sessions…`, `/.gateway/self-service/logout…` | as Ory Kratos |

They come before the routes: no route can shadow them, and a path below `/.gateway`
that is not in the table is a 404 and never reaches an upstream.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

PREFIX: Final = "/.gateway"
WELL_KNOWN_JWKS: Final = "/.well-known/jwks.json"


class Endpoint(Enum):
    """What the gateway answers itself."""

    JWKS = auto()
    LOGOUT = auto()
    SWITCH_TENANT = auto()
    ACCOUNT = auto()
    END_SESSION_BY_FORM = auto()
    END_OTHER_SESSIONS_BY_FORM = auto()
    SESSION_SCRIPT = auto()
    SESSION_STATUS = auto()
    LIST_SESSIONS = auto()
    END_OTHER_SESSIONS = auto()
    END_SESSION = auto()
    WHOAMI = auto()
    SUBMIT_LOGOUT = auto()
    CREATE_LOGOUT_FLOW = auto()
    SIGN_IN_PAGE = auto()
    BEGIN_SIGN_IN = auto()
    SIGN_IN_CALLBACK = auto()
    INITIATED_SIGN_IN = auto()
    SIGNED_OUT = auto()
    LOGIN_PAGE = auto()
    BACKCHANNEL_LOGOUT = auto()
    FRONTCHANNEL_LOGOUT = auto()
    TOKEN = auto()
    PREFLIGHT = auto()


Methods = Mapping[str, Endpoint]

TABLE: Final[Mapping[str, Methods]] = {
    "/.gateway/jwks.json": {"GET": Endpoint.JWKS},
    WELL_KNOWN_JWKS: {"GET": Endpoint.JWKS},
    "/.gateway/logout": {"POST": Endpoint.LOGOUT},
    "/.gateway/tenant": {"POST": Endpoint.SWITCH_TENANT},
    "/.gateway/account": {"GET": Endpoint.ACCOUNT},
    "/.gateway/account/end": {"POST": Endpoint.END_SESSION_BY_FORM},
    "/.gateway/account/end-others": {"POST": Endpoint.END_OTHER_SESSIONS_BY_FORM},
    "/.gateway/session.js": {"GET": Endpoint.SESSION_SCRIPT},
    "/.gateway/session": {"GET": Endpoint.SESSION_STATUS},
    "/.gateway/sessions": {
        "GET": Endpoint.LIST_SESSIONS,
        "DELETE": Endpoint.END_OTHER_SESSIONS,
    },
    "/.gateway/sessions/whoami": {
        "GET": Endpoint.WHOAMI,
        "OPTIONS": Endpoint.PREFLIGHT,
    },
    "/.gateway/token": {"GET": Endpoint.TOKEN, "OPTIONS": Endpoint.PREFLIGHT},
    "/.gateway/self-service/logout": {"GET": Endpoint.SUBMIT_LOGOUT},
    "/.gateway/self-service/logout/browser": {"GET": Endpoint.CREATE_LOGOUT_FLOW},
    "/.gateway/self-service/login/browser": {"GET": Endpoint.LOGIN_PAGE},
    "/.gateway/ui/login": {"GET": Endpoint.LOGIN_PAGE},
    "/.gateway/sign-in": {"GET": Endpoint.SIGN_IN_PAGE},
    "/.gateway/signed-out": {"GET": Endpoint.SIGNED_OUT},
}
MEMBERS: Final[Mapping[str, Methods]] = {
    "/.gateway/sessions": {"DELETE": Endpoint.END_SESSION},
    "/.gateway/sign-in": {"GET": Endpoint.BEGIN_SIGN_IN},
}
"""Methods of one member of a collection; the last segment is its id."""
BELOW_MEMBERS: Final[Mapping[tuple[str, str], Methods]] = {
    ("/.gateway/sign-in", "callback"): {"GET": Endpoint.SIGN_IN_CALLBACK},
    ("/.gateway/sign-in", "initiate"): {
        "GET": Endpoint.INITIATED_SIGN_IN,
        "POST": Endpoint.INITIATED_SIGN_IN,
    },
    ("/.gateway/sign-in", "backchannel-logout"): {"POST": Endpoint.BACKCHANNEL_LOGOUT},
    ("/.gateway/sign-in", "frontchannel-logout"): {"GET": Endpoint.FRONTCHANNEL_LOGOUT},
}
"""Methods of a resource of a member: the collection, and the last segment."""

OF_USERS: Final = frozenset(
    (
        Endpoint.LOGOUT,
        Endpoint.SWITCH_TENANT,
        Endpoint.ACCOUNT,
        Endpoint.END_SESSION_BY_FORM,
        Endpoint.END_OTHER_SESSIONS_BY_FORM,
        Endpoint.LIST_SESSIONS,
        Endpoint.END_OTHER_SESSIONS,
        Endpoint.END_SESSION,
        Endpoint.SUBMIT_LOGOUT,
        Endpoint.CREATE_LOGOUT_FLOW,
    )
)
"""What shows or changes sessions; an access token is refused there."""

_NOTHING: Final[Methods] = {}


def is_local(path: str) -> bool:
    """Return whether a canonical path is below `/.gateway`."""
    return path.startswith(PREFIX) and path[len(PREFIX) : len(PREFIX) + 1] in {"", "/"}


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """Return the endpoint of a request; HEAD is taken wherever GET is."""
    return _methods(path).get("GET" if method == "HEAD" else method)


def methods_of(path: str) -> tuple[str, ...]:
    """Return the methods that a path takes; empty if there is no endpoint."""
    methods = _methods(path)
    return (*methods, *(("HEAD",) if "GET" in methods else ()))


def _methods(path: str) -> Methods:
    methods = TABLE.get(path)
    if methods is not None:
        return methods
    above, _, last = path.rpartition("/")
    if not last:
        return _NOTHING
    collection, _, member = above.rpartition("/")
    if member and (collection, last) in BELOW_MEMBERS:
        return BELOW_MEMBERS[collection, last]
    return MEMBERS.get(above, _NOTHING)
