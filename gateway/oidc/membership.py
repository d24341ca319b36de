"""How old the membership of a session is, and the session with a newer one. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any, Final

from gateway.oidc.person import Person
from gateway.sessions.record import Session, Tenant

FACTS: Final = "provider"
"""The member of a session record that names the provider of the sign-in."""
_REFRESHED: Final = "refreshed_at"
_AHEAD: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a provider changed in a session; `traits` names those that differ."""

    roles_added: tuple[str, ...]
    roles_removed: tuple[str, ...]
    tenants_added: tuple[str, ...]
    tenants_removed: tuple[str, ...]
    traits: tuple[str, ...]
    tenant_roles: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether everything is as it was."""
        return not any(getattr(self, name) for name in self.__slots__)


def provider_of(session: Session) -> str | None:
    """Return the name of the provider that signed the user in; None without one."""
    facts = session.extra.get(FACTS)
    name = facts.get("name") if isinstance(facts, Mapping) else None
    return name if isinstance(name, str) else None


def due_at(session: Session, intervals: Mapping[str, float], now: float) -> float:
    """Return when the membership has to be renewed; `inf` for a session that is not.

    Args:
        session: the session.
        intervals: seconds by provider.
        now: a time that lies ahead of it, from a wrong clock, counts as long ago.
    """
    facts = session.extra.get(FACTS)
    if not isinstance(facts, Mapping):
        return inf
    name, at = facts.get("name"), facts.get(_REFRESHED)
    if not isinstance(name, str) or name not in intervals:
        return inf
    if isinstance(at, bool) or not isinstance(at, int | float) or not isfinite(at):
        return inf
    if at > now + _AHEAD:
        return now
    due, sooner = at + intervals[name], facts.get("renew_at")
    # An access token that ends sooner, see access_token.
    return min(due, sooner) if type(sooner) is int else due


def noted(facts: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return what a record keeps of the provider, renewed at `now`."""
    return {**facts, _REFRESHED: int(now)}


def renewed_session(session: Session, person: Person | None, now: float) -> Session:
    """Return the session with the membership of `now`; None: it is as it was.

    The active tenant goes with its membership. A user without tenants who gets the
    first one acts for it, as at a sign-in.
    """
    facts = session.extra.get(FACTS)
    extra = {
        **session.extra,
        FACTS: noted(facts if isinstance(facts, Mapping) else {}, now),
    }
    if person is None:
        return replace(session, extra=extra)
    tenants = dict(person.tenants)
    active = session.active_tenant_id
    if active not in tenants:
        first = next(iter(tenants)) if len(tenants) == 1 else None
        active = None if session.tenants else first
    return replace(
        session,
        identity=replace(
            session.identity,
            traits=dict(person.identity.traits),
            roles=person.identity.roles,
        ),
        tenants=tenants,
        active_tenant_id=active,
        extra=extra,
    )


def change_between(old: Session, new: Session) -> Change:
    """Return what differs between a session and its renewed one."""
    before, after = old.identity, new.identity
    return Change(
        roles_added=_missing_in(after.roles, before.roles),
        roles_removed=_missing_in(before.roles, after.roles),
        tenants_added=_missing_in(new.tenants, old.tenants),
        tenants_removed=_missing_in(old.tenants, new.tenants),
        traits=tuple(
            sorted(
                name
                for name in before.traits.keys() | after.traits.keys()
                if before.traits.get(name) != after.traits.get(name)
            )
        ),
        tenant_roles=tuple(
            name
            for name, tenant in new.tenants.items()
            if name in old.tenants and _role(old.tenants[name]) != _role(tenant)
        ),
    )


def _missing_in(some: Any, others: Any) -> tuple[str, ...]:
    return tuple(one for one in some if one not in others)


def _role(tenant: Tenant) -> tuple[str, str]:
    return tenant.role, tenant.name
