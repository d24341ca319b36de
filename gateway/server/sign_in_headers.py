"""The sign-in header protocol: an application reports that a user signed in or out.

An upstream with `may_sign_in` adds `X-Gateway-Sign-In`, a base64url JSON object, or
`X-Gateway-Sign-Out: this|all` to any response. The gateway removes the field and
starts or ends the session. From any other upstream the fields are removed and ignored.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

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
_MAX: Final = 16 * 1024
# A tuple, so that unhashable JSON values can be looked up in it.
_LEVELS: Final = ("aal1", "aal2", "aal3")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """The user who signed in, as the application reports."""

    identity: Identity
    tenants: Mapping[str, Tenant]
    active_tenant_id: str | None
    methods: tuple[str, ...]
    aal: str
    persistent: bool


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
    if len(value) > _MAX:
        return InvalidSignIn(why="X-Gateway-Sign-In is longer than 16 KiB")
    try:
        padded = value + b"=" * (-len(value) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return InvalidSignIn(why="X-Gateway-Sign-In is not base64url JSON")
    try:
        return sign_in_of(parse_json(raw))
    except NotJson:
        return InvalidSignIn(why="X-Gateway-Sign-In is not base64url JSON")
    except Refused as refused:
        return InvalidSignIn(why=f"X-Gateway-Sign-In: {refused}")


def sign_in_of(decoded: object) -> SignIn | InvalidSignIn:
    """Return the sign-in in parsed JSON; the admin API accepts the same format."""
    if not isinstance(decoded, dict):
        return InvalidSignIn(why="a sign-in is a JSON object")
    if deeper_than(decoded, MAX_RECORD_DEPTH):
        return InvalidSignIn(why=f"a sign-in nests deeper than {MAX_RECORD_DEPTH}")
    identity = _identity(decoded.get("identity"))
    if identity is None:
        return InvalidSignIn(why="identity needs an id, an object traits, a list roles")
    tenants = _tenants(decoded.get("tenants", {}))
    if tenants is None:
        return InvalidSignIn(why="tenants is not {id: {name, role}}")
    active = decoded.get("active_tenant_id")
    if active is not None and not (isinstance(active, str) and active in tenants):
        return InvalidSignIn(why="active_tenant_id is not one of tenants")
    methods = decoded.get("authentication_methods", ["password"])
    aal = decoded.get("aal", "aal1")
    persistent = decoded.get("persistent", True)
    if not _texts(methods) or aal not in _LEVELS or not isinstance(persistent, bool):
        return InvalidSignIn(
            why="authentication_methods, aal or persistent is malformed"
        )
    return SignIn(
        identity=identity,
        tenants=tenants,
        active_tenant_id=active,
        methods=tuple(methods),
        aal=aal,
        persistent=persistent,
    )


def _identity(value: object) -> Identity | None:
    if not isinstance(value, dict):
        return None
    traits, roles = value.get("traits", {}), value.get("roles", [])
    if not (_text(value.get("id")) and isinstance(traits, dict) and _texts(roles)):
        return None
    return Identity(id=value["id"], traits=traits, roles=tuple(roles))


def _tenants(value: object) -> dict[str, Tenant] | None:
    if not isinstance(value, dict):
        return None
    tenants = {}
    for tenant_id, member in value.items():
        if not (_text(tenant_id) and isinstance(member, dict)):
            return None
        name, role = member.get("name", tenant_id), member.get("role", "")
        if not (isinstance(name, str) and isinstance(role, str)):
            return None
        tenants[tenant_id] = Tenant(id=tenant_id, name=name, role=role)
    return tenants


def _text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(_text(item) for item in value)
