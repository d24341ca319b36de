"""The sign-in header protocol: an application reports that a user signed in or out.

An upstream with `may_sign_in` adds `X-Gateway-Sign-In`, a base64url JSON object, or
`X-Gateway-Sign-Out: this|all` to any response. The gateway removes the field and
starts or ends the session. From any other upstream the fields are removed and ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.http import base64url
from gateway.server.sign_in_members import (
    read_id,
    read_member,
    read_moment,
    read_tenants,
    read_texts,
)
from gateway.sessions.identity_change import IdentityChange
from gateway.sessions.members import (
    MAX_RECORD_DEPTH,
    NotJson,
    Refused,
    deeper_than,
    parse_json,
)
from gateway.sessions.record import Identity, Tenant

SIGN_IN: Final = b"x-gateway-sign-in"
SIGN_OUT: Final = b"x-gateway-sign-out"
_LENGTHS: Final = (len(SIGN_IN), len(SIGN_OUT))
MAX_HEADER: Final = 64 * 1024
"""Characters of X-Gateway-Sign-In, for 48 KiB of JSON: about 500 memberships with names and
UUIDs. The session record that it becomes is at most 64 KiB."""
# A tuple, so that unhashable JSON values can be looked up in it.
_LEVELS: Final = ("aal1", "aal2", "aal3")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """The user who signed in, as the application or a provider reports.

    authenticated_at  seconds since the epoch; None: now, 0.0: unknown
    extra             further members of the session record
    personal          no active tenant, even with a single membership
    everywhere        the other sessions of the identity get its roles, traits, tenants
    """

    identity: Identity
    tenants: Mapping[str, Tenant]
    active_tenant_id: str | None
    methods: tuple[str, ...]
    aal: str
    persistent: bool
    authenticated_at: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    personal: bool = False
    everywhere: bool = False

    @property
    def change(self) -> IdentityChange:
        """Return what makes another session of the identity agree with this sign-in."""
        return IdentityChange(
            roles=self.identity.roles,
            traits=self.identity.traits,
            tenants=self.tenants,
            created_at=self.identity.created_at,
            updated_at=self.identity.updated_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOut:
    """The sessions to end: that of the request, or all of its identity."""

    which: Literal["this", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidSignIn:
    """The field is invalid, so no session starts or ends."""

    why: str


SessionInstruction = SignIn | SignOut | InvalidSignIn


def read_sign_in_headers(
    headers: Sequence[tuple[bytes, bytes]],
) -> SessionInstruction | None:
    """Return the instruction in the headers of a response; None if there is none."""
    found = [
        (folded, value)
        for name, value in headers
        if len(name) in _LENGTHS and (folded := name.lower()) in {SIGN_IN, SIGN_OUT}
    ]
    if not found:
        return None
    if len(found) > 1:
        return InvalidSignIn(why="more than one sign-in or sign-out header")
    name, value = found[0]
    if name == SIGN_OUT:
        match value.strip():
            case b"this":
                return SignOut(which="this")
            case b"all":
                return SignOut(which="all")
            case _:
                return InvalidSignIn(why="X-Gateway-Sign-Out is neither this nor all")
    return _read_sign_in(value.strip())


def _read_sign_in(value: bytes) -> SignIn | InvalidSignIn:
    if len(value) > MAX_HEADER:
        return InvalidSignIn(
            why=f"X-Gateway-Sign-In has {len(value)} characters; the limit is {MAX_HEADER}"
        )
    try:
        raw = base64url.decode(value)
    except ValueError:
        return InvalidSignIn(why="X-Gateway-Sign-In is not base64url JSON")
    try:
        return sign_in_of(parse_json(raw))
    except NotJson:
        return InvalidSignIn(why="X-Gateway-Sign-In is not base64url JSON")
    except Refused as refused:
        return InvalidSignIn(why=f"X-Gateway-Sign-In: {refused}")


def sign_in_of(decoded: object) -> SignIn | InvalidSignIn:
    """Return the sign-in in parsed JSON; the admin API accepts the same format.

    A member that is null counts as absent, except `active_tenant_id`. IDs may be
    numbers, as of a database. `why` names the member, never its value.
    """
    if not isinstance(decoded, dict):
        return InvalidSignIn(why="a sign-in is a JSON object")
    if deeper_than(decoded, MAX_RECORD_DEPTH):
        return InvalidSignIn(why=f"a sign-in nests deeper than {MAX_RECORD_DEPTH}")
    try:
        tenants = read_tenants(read_member(decoded, "tenants"))
        return SignIn(
            identity=_identity(read_member(decoded, "identity")),
            tenants=tenants,
            active_tenant_id=_active_tenant(decoded, tenants),
            methods=read_texts(decoded, "authentication_methods", ("password",)),
            aal=_level(decoded),
            persistent=_flag(decoded, "persistent", default=True),
            everywhere=_flag(decoded, "everywhere", default=False),
            personal=decoded.get("active_tenant_id", "") is None,
        )
    except Refused as refused:
        return InvalidSignIn(why=str(refused))


def _identity(value: Mapping[str, Any]) -> Identity:
    identity_id = read_id(value.get("id"))
    if identity_id is None:
        raise Refused("identity.id: neither text nor a whole number")
    return Identity(
        id=identity_id,
        traits=read_member(value, "traits", "identity."),
        roles=read_texts(value, "roles", (), "identity."),
        created_at=read_moment(value, "created_at", "identity."),
        updated_at=read_moment(value, "updated_at", "identity."),
    )


def _active_tenant(
    decoded: Mapping[str, Any], tenants: Mapping[str, Tenant]
) -> str | None:
    given = decoded.get("active_tenant_id")
    if given is None:
        return None
    active = read_id(given)
    if active not in tenants:
        raise Refused("active_tenant_id: not one of tenants")
    return active


def _level(decoded: Mapping[str, Any]) -> str:
    level = decoded.get("aal")
    if level is None:
        return _LEVELS[0]
    if level not in _LEVELS:
        raise Refused(f"aal: none of {', '.join(_LEVELS)}")
    return str(level)


def _flag(decoded: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = decoded.get(name)
    if not isinstance(value, bool | None):
        raise Refused(f"{name}: neither true nor false")
    return default if value is None else value
