"""Whom a request acts for, as the log, the metrics and open streams name it."""

from dataclasses import dataclass, field
from typing import Final

from gateway.decision import AccessRequest
from gateway.sessions.authenticate import Authenticated


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whom a request acts for; holds no secret. Requests of a session plan share one.

    identity_id, session_id, tenant_id  public IDs; None: there is none
    session_key      the key of the session in the store; a hash, not the token
    session_version  the version of the record that allowed the request
    shown            its part of an access line; None until it is first written
    """

    identity_id: str | None = None
    session_id: str | None = None
    tenant_id: str | None = None
    session_key: str | None = None
    session_version: str | None = None
    shown: str | None = field(default=None, init=False, repr=False, compare=False)


NO_PRINCIPAL: Final = Principal()
"""The principal of an anonymous request."""


def principal_of(access: AccessRequest) -> Principal:
    """Return whom an allowed request acts for."""
    who, tenant = access.authentication, access.known_tenant
    if not isinstance(who, Authenticated):
        return NO_PRINCIPAL
    session = who.session
    return Principal(
        identity_id=session.identity.id,
        session_id=session.id,
        tenant_id=None if tenant is None else tenant.id,
        session_key=who.key,
        session_version=session.version,
    )
