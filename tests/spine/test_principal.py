"""Whom a request acts for."""

import pytest

from gateway.decision import AccessRequest, Policy
from gateway.reasons import Reason
from gateway.routes.model import Route, Rule
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.record import Tenant
from gateway.spine.principal import NO_PRINCIPAL, Principal, principal_of
from gateway.tenants import TenantRefused
from tests.http.heads import head
from tests.sessions.samples import NOW, a_session

ADA = a_session()
SIGNED_IN = Authenticated(session=ADA, key="ab" * 32)


def access(
    who: Authentication, tenant: Tenant | TenantRefused | None = None
) -> AccessRequest:
    return AccessRequest(
        route=Route(id="app", path="/**", rule=Rule.PUBLIC, upstream="web"),
        authentication=who,
        tenant=tenant,
        head=head(),
        now=NOW,
        policy=Policy(admin_roles=frozenset(), public_origin="https://a.example"),
    )


def test_a_request_without_a_session_acts_for_no_principal() -> None:
    who = Anonymous(reason=Reason.NO_SESSION)

    assert principal_of(access(who)) is NO_PRINCIPAL
    assert Principal() == NO_PRINCIPAL


@pytest.mark.parametrize(
    ("tenant", "tenant_id"),
    [
        (ADA.tenants["t_acme"], "t_acme"),
        (TenantRefused(reason=Reason.NOT_A_MEMBER), None),
        (None, None),
    ],
)
def test_a_request_acts_for_its_identity_session_and_membership(
    tenant: Tenant | TenantRefused | None, tenant_id: str | None
) -> None:
    assert principal_of(access(SIGNED_IN, tenant)) == Principal(
        identity_id="u_ada",
        session_id=ADA.id,
        tenant_id=tenant_id,
        session_key="ab" * 32,
        session_version=ADA.version,
    )
