"""The sign-in header protocol: an application reports that a user signed in or out.

An upstream with `may_sign_in` adds `X-Gateway-Sign-In`, a base64url JSON object, or
`X-Gateway-Sign-Out: this|all` to any response. The gateway removes the field and
starts or ends the session. From any other upstream the fields are removed and ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.http import base64url
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
MAX_MEMBERSHIPS: Final = 1000
# A tuple, so that unhashable JSON values can be looked up in it.
_LEVELS: Final = ("aal1", "aal2", "aal3")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """The user who signed in, as the application or a provider reports.

    authenticated_at  seconds since the epoch; None: now, 0.0: unknown
    extra             further members of the session record
    personal          no active tenant, even with a single membership
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

    A member that is null counts as absent, except `active_tenant_id`. IDs may be numbers, as of a database. `why`
    names the member, never its value.
    """
    if not isinstance(decoded, dict):
        return InvalidSignIn(why="a sign-in is a JSON object")
    if deeper_than(decoded, MAX_RECORD_DEPTH):
        return InvalidSignIn(why=f"a sign-in nests deeper than {MAX_RECORD_DEPTH}")
    try:
        tenants = _tenants(_object(decoded, "tenants"))
        return SignIn(
            identity=_identity(_object(decoded, "identity")),
            tenants=tenants,
            active_tenant_id=_active_tenant(decoded, tenants),
            methods=_texts(decoded, "authentication_methods", ("password",)),
            aal=_level(decoded),
            persistent=_flag(decoded, "persistent"),
            personal=decoded.get("active_tenant_id", "") is None,
        )
    except Refused as refused:
        return InvalidSignIn(why=str(refused))


def _identity(value: Mapping[str, Any]) -> Identity:
    identity_id = _id(value.get("id"))
    if identity_id is None:
        raise Refused("identity.id: neither text nor a whole number")
    return Identity(
        id=identity_id,
        traits=_object(value, "traits", "identity."),
        roles=_texts(value, "roles", (), "identity."),
    )


def _tenants(value: Mapping[str, Any]) -> dict[str, Tenant]:
    if len(value) > MAX_MEMBERSHIPS:
        raise Refused(
            f"tenants: {len(value)} memberships; the limit is {MAX_MEMBERSHIPS}"
        )
    tenants = {}
    for at, (tenant_id, member) in enumerate(value.items(), 1):
        where = f"tenants, membership {at}"
        if not tenant_id:
            raise Refused(f"{where}: the ID is empty")
        fields = {} if member is None else member
        if not isinstance(fields, dict):
            raise Refused(f"{where}: not an object with name and role")
        name, role = fields.get("name"), fields.get("role")
        if not (isinstance(name, str | None) and isinstance(role, str | None)):
            raise Refused(f"{where}: name or role is not text")
        tenants[tenant_id] = Tenant(
            id=tenant_id, name=tenant_id if name is None else name, role=role or ""
        )
    return tenants


def _active_tenant(
    decoded: Mapping[str, Any], tenants: Mapping[str, Tenant]
) -> str | None:
    given = decoded.get("active_tenant_id")
    if given is None:
        return None
    active = _id(given)
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


def _flag(decoded: Mapping[str, Any], name: str) -> bool:
    value = decoded.get(name)
    if not isinstance(value, bool | None):
        raise Refused(f"{name}: neither true nor false")
    return True if value is None else value


def _object(holder: Mapping[str, Any], name: str, where: str = "") -> dict[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict | None):
        raise Refused(f"{where}{name}: not an object")
    return value or {}


def _texts(
    holder: Mapping[str, Any], name: str, default: tuple[str, ...], where: str = ""
) -> tuple[str, ...]:
    value = holder.get(name)
    if value is None:
        return default
    if not isinstance(value, list):
        raise Refused(f"{where}{name}: not a list")
    if not all(isinstance(item, str) and item for item in value):
        raise Refused(f"{where}{name}: not a list of texts")
    return tuple(value)


def _id(value: object) -> str | None:
    """Return an ID as text; None if it is neither text nor a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
