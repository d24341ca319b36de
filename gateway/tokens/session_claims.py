"""The claims of a token whose profile has no `claims`: the session, for a front end.

An upstream that verifies the token can render the user without another request. Names
are those of OpenID Connect Core, section 5.1, and RFC 8176, where they have one.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.tokens.claims import fits
from gateway.tokens.subject import Membership, Subject

TENANTS_MOST: Final = 20
"""Memberships in the token: about 3 KiB. With more the claim is omitted."""
_ROLES_MOST: Final = 64


def session_claims(
    subject: Subject, tenant: Membership | None, admin_roles: frozenset[str]
) -> dict[str, Any]:
    """Return the claims; a value that the session does not have is omitted.

    Args:
        subject: the session.
        tenant: the tenant that the request acts for.
        admin_roles: roles that make an identity an administrator.
    """
    identity, traits = subject.identity, subject.identity.traits
    roles = [role for role in identity.roles if fits(role)]
    claims: dict[str, Any] = {
        "email": _text(traits.get("email")),
        "name": _name(traits),
        "picture": _text(traits.get("picture")),
        "roles": roles if len(roles) <= _ROLES_MOST else None,
        "admin": not admin_roles.isdisjoint(identity.roles),
        "tenant": _membership(tenant) if tenant is not None else None,
        "tenants": [_membership(each) for each in subject.tenants.values()]
        if len(subject.tenants) <= TENANTS_MOST
        else None,
        "auth_time": int(subject.authenticated_at) or None,
        "amr": [each.method for each in subject.methods if fits(each.method)],
        "acr": subject.aal,
        "session_exp": int(subject.expires_at),
    }
    verified = traits.get("email_verified")
    if isinstance(verified, bool):
        claims["email_verified"] = verified
    return {name: value for name, value in claims.items() if value is not None}


def _membership(tenant: Membership) -> dict[str, str]:
    values = {"id": tenant.id, "name": tenant.name, "role": tenant.role}
    return {name: value for name, value in values.items() if fits(value)}


def _name(traits: Mapping[str, Any]) -> str | None:
    """Return the name; one in parts, as in Kratos, is joined."""
    name = traits.get("name")
    if isinstance(name, Mapping):
        parts = (_text(name.get("first")), _text(name.get("last")))
        return _text(" ".join(filter(None, parts)))
    return _text(name)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and fits(value) else None
