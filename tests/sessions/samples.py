"""Sessions to test with."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

from gateway.sessions.record import Device, Identity, Method, Session, Tenant

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
DAY = 86_400.0


def a_key(name: str = "one") -> str:
    return sha256(name.encode()).hexdigest()


def a_session(**changes: Any) -> Session:
    session = Session(
        id="5f0d2c3e-0000-4000-8000-000000000001",
        active=True,
        issued_at=NOW,
        authenticated_at=NOW,
        expires_at=NOW + DAY,
        last_seen_at=NOW,
        aal="aal1",
        methods=(Method(method="password", completed_at=NOW),),
        identity=Identity(
            id="u_ada",
            traits={"email": "ada@example.com", "name": "Ada"},
            roles=("admin",),
        ),
        tenants={
            "t_acme": Tenant(id="t_acme", name="Acme", role="owner"),
            "t_beta": Tenant(id="t_beta", name="Beta", role="member"),
        },
        active_tenant_id="t_acme",
        devices=(Device(ip_address="203.0.113.9", user_agent="Browser/1"),),
    )
    return replace(session, **changes)


def the_session(found: object) -> Session:
    """Return what a store gave, which must be a session."""
    assert isinstance(found, Session)
    return found
