"""Sessions to mint for. Times are seconds around NOW."""

from collections.abc import Callable
from itertools import count
from typing import Any

from gateway.sessions.record import Identity, Session, Tenant
from gateway.tokens.minter import Minter

NOW = 1_800_000_000.25

ACME = Tenant(id="t_acme", name="Acme", role="owner")
GLOBEX = Tenant(id="t_globex", name="Globex", role="member")

DATABASE: dict[str, Any] = {
    "role": "authenticated",
    "tenant_id": "{tenant.id}",
    "tenant_role": "{tenant.role}",
    "email": "{identity.traits.email}",
}


def make_session(
    *,
    session_id: str = "s_1",
    identity: str = "u_ann",
    traits: dict[str, Any] | None = None,
    roles: tuple[str, ...] = ("staff",),
    tenants: tuple[Tenant, ...] = (ACME, GLOBEX),
    aal: str = "aal1",
    expires_at: float = NOW + 86_400,
) -> Session:
    return Session(
        id=session_id,
        active=True,
        issued_at=NOW - 100,
        authenticated_at=NOW - 100,
        expires_at=expires_at,
        last_seen_at=NOW,
        aal=aal,
        identity=Identity(
            id=identity,
            traits={"email": "ann@acme.test"} if traits is None else traits,
            roles=roles,
        ),
        tenants={tenant.id: tenant for tenant in tenants},
        active_tenant_id=tenants[0].id if tenants else None,
    )


def numbered() -> Callable[[], str]:
    numbers = count()
    return lambda: f"jti-{next(numbers)}"


def minted(
    minter: Minter,
    profile: str,
    session: Any,
    tenant: Any,
    now: float,
    jti: Callable[[], str],
) -> str | None:
    """The token alone, or None."""
    issued = minter.token(profile, session, tenant, now, jti())
    return None if issued is None else issued.token
