"""Accounts of the sample app, and the sign-in header that it sends."""

import base64
import hmac
import json
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person the sample app knows. Memberships: tenant id → role there."""

    id: str
    email: str
    name: str
    password: str = field(repr=False)
    about: str
    roles: tuple[str, ...] = ()
    memberships: dict[str, str] = field(default_factory=dict)


TENANTS = {"t_acme": "Acme", "t_globex": "Globex"}

ACCOUNTS = (
    Account(
        id="u_ada",
        email="ada@example.com",
        name="Ada Lovelace",
        password="analytical-engine",  # noqa: S106 - shown on the sign-in page
        about="administrator, owner of Acme",
        roles=("admin",),
        memberships={"t_acme": "owner"},
    ),
    Account(
        id="u_grace",
        email="grace@example.com",
        name="Grace Hopper",
        password="first-compiler",  # noqa: S106 - shown on the sign-in page
        about="member of two organizations: Acme and Globex",
        roles=("member",),
        memberships={"t_acme": "member", "t_globex": "owner"},
    ),
    Account(
        id="u_linus",
        email="linus@example.com",
        name="Linus Berg",
        password="just-for-fun",  # noqa: S106 - shown on the sign-in page
        about="not a member of an organization yet",
        roles=("member",),
    ),
)


def check_password(email: str, password: str) -> Account | None:
    """Return the account whose e-mail and password these are, or None."""
    for account in ACCOUNTS:
        if account.email == email.strip().lower():
            given, right = password.encode(), account.password.encode()
            return account if hmac.compare_digest(given, right) else None
    return None


def account_of(user_id: str) -> Account | None:
    """Return the account with this id, or None."""
    return next((account for account in ACCOUNTS if account.id == user_id), None)


def sign_in_value(account: Account, *, persistent: bool) -> str:
    """Return the value of `X-Gateway-Sign-In`: base64url of JSON."""
    statement = {
        "identity": {
            "id": account.id,
            "traits": {"email": account.email, "name": account.name},
            "roles": list(account.roles),
        },
        "tenants": {
            tenant: {"name": TENANTS[tenant], "role": role}
            for tenant, role in account.memberships.items()
        },
        "active_tenant_id": next(iter(account.memberships), None),
        "authentication_methods": ["password"],
        "aal": "aal1",
        "persistent": persistent,
    }
    raw = json.dumps(statement, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
