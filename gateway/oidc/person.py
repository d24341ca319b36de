"""Verified claims become an identity with roles and tenants; and who may sign in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.oidc.claims import ClaimText, fill, find_claim
from gateway.oidc.failure import SignInFailed
from gateway.oidc.settings import Allow, PersonRules, ProviderSettings
from gateway.reasons import Reason
from gateway.sessions.members import Refused, read_label, read_name
from gateway.sessions.record import Identity, Tenant

_MOST: Final = 1000
"""Roles, or tenants, of one identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who signed in."""

    identity: Identity
    tenants: Mapping[str, Tenant]


def claims_wanted(rules: PersonRules, allow: Allow) -> frozenset[str]:
    """Return the claims that the configuration refers to, less those of each token."""
    texts = [rules.id, *rules.traits.values()]
    texts += [text for text in (rules.roles, rules.tenants) if text is not None]
    names = {name for text in texts for name in text.claims} | allow.claims.keys()
    if allow.email_domains or allow.verified_email:
        names |= {"email", "email_verified"}
    return frozenset(names - {"sub", "iss", "aud"})


def missing_claims(wanted: frozenset[str], claims: Mapping[str, Any]) -> bool:
    """Return whether one of the claims is absent."""
    return any(find_claim(claims, name) is None for name in wanted)


def allowed_person(settings: ProviderSettings, claims: Mapping[str, Any]) -> Person:
    """Return the person whom verified claims describe, and who may sign in.

    Raises:
        SignInFailed: as `person_of` and `check_allowed`.
    """
    person = person_of(settings.person, claims, settings.name)
    check_allowed(settings.allow, person, claims)
    return person


def person_of(rules: PersonRules, claims: Mapping[str, Any], provider: str) -> Person:
    """Return the person whom verified claims describe.

    Raises:
        SignInFailed: `claim_missing`: there is no id, or a claim of roles or tenants is
            not of the expected form or was left out for its length.
    """
    _refuse_overage(rules, claims)
    found = fill(rules.id, claims, provider)
    if type(found) is int:
        found = str(found)
    traits = {
        name: value
        for name, text in rules.traits.items()
        if (value := fill(text, claims, provider)) is not None
    }
    try:
        return Person(
            identity=Identity(
                id=read_name(found, "identity.id"),
                traits=traits,
                roles=_roles(rules.roles, claims, provider),
            ),
            tenants=_tenants(rules, claims, provider),
        )
    except Refused as refused:
        raise SignInFailed(
            Reason.CLAIM_MISSING, f"claims: {refused}", account=account_of(claims)
        ) from None


def check_allowed(allow: Allow, person: Person, claims: Mapping[str, Any]) -> None:
    """Refuse a person who may not sign in.

    Raises:
        SignInFailed: `email_unverified` or `account_not_allowed`.
    """
    account = account_of(claims)
    email = find_claim(claims, "email")
    # A boolean, as OpenID Connect Core 1.0, section 5.1 defines it: "false" and "yes"
    # are texts.
    if allow.verified_email and not (
        isinstance(email, str) and claims.get("email_verified") is True
    ):
        raise SignInFailed(
            Reason.EMAIL_UNVERIFIED, "email_verified is not true", account=account
        )
    why = ""
    if allow.email_domains and _domain(email) not in allow.email_domains:
        why = "the domain of the e-mail address is not allowed"
    elif allow.roles and not allow.roles & set(person.identity.roles):
        why = "none of the allowed roles"
    for name, accepted in allow.claims.items():
        if find_claim(claims, name) not in accepted:
            why = f"the claim {name} is not one of the allowed values"
    if why:
        raise SignInFailed(Reason.ACCOUNT_NOT_ALLOWED, why, account=account)


def account_of(claims: Mapping[str, Any]) -> str:
    """Return the name by which a user knows the account, for a page."""
    for name in ("email", "preferred_username", "name", "sub"):
        value = claims.get(name)
        if isinstance(value, str) and value.isprintable() and value:
            return value[:100]
    return ""


def _domain(email: object) -> str | None:
    """Return the domain after the only @; None for what is not a plain address."""
    if not isinstance(email, str) or not email.isascii() or email.count("@") != 1:
        return None
    if not email.isprintable() or " " in email:
        return None
    local, _, domain = email.partition("@")
    return domain.lower() if local else None


def _refuse_overage(rules: PersonRules, claims: Mapping[str, Any]) -> None:
    """Refuse claims that were left out for their length (`_claim_names`, section 5.6.2).

    Microsoft Entra ID does so above 200 groups. "Unknown" is not "none".
    """
    left_out = claims.get("_claim_names")
    if not isinstance(left_out, dict):
        return
    for text in (rules.roles, rules.tenants):
        for name in text.claims if text is not None else ():
            if name in left_out and find_claim(claims, name) is None:
                raise SignInFailed(
                    Reason.CLAIM_MISSING,
                    f"claims: {name} was left out of the token for its length",
                    account=account_of(claims),
                )


def _roles(
    text: ClaimText | None, claims: Mapping[str, Any], provider: str
) -> tuple[str, ...]:
    value = None if text is None else fill(text, claims, provider)
    return tuple(dict.fromkeys(_names(value, "roles")))


def _tenants(
    rules: PersonRules, claims: Mapping[str, Any], provider: str
) -> dict[str, Tenant]:
    text = rules.tenants
    value = None if text is None else fill(text, claims, provider)
    if value is None:
        return {}
    if rules.membership is not None:
        found: dict[str, Tenant] = {}
        for group in _names(value, "tenants"):
            for member in rules.membership.get(group, ()):
                tenant = Tenant(id=member.id, name=member.name, role=member.role)
                found.setdefault(member.id, tenant)
        return found
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        entries = value if isinstance(value, list) else [value]
        pairs = [
            (each.get("id"), each) if isinstance(each, Mapping) else (each, {})
            for each in entries
        ]
    if len(pairs) > _MOST:
        raise Refused(f"tenants: more than {_MOST}")
    return {
        tenant.id: tenant for tenant in (_tenant(key, about) for key, about in pairs)
    }


def _tenant(key: object, about: object) -> Tenant:
    """Return one membership: `{name, role}`, or `{roles: [first, ...]}` as in Keycloak."""
    tenant_id = read_name(key, "tenants")
    about = about if isinstance(about, Mapping) else {}
    role = about.get("role")
    roles = about.get("roles")
    if role is None and isinstance(roles, list) and roles:
        role = roles[0]
    return Tenant(
        id=tenant_id,
        name=read_name(about.get("name") or tenant_id, "tenants.name"),
        role=read_label(role or "", "tenants.role"),
    )


def _names(value: object, where: str) -> list[str]:
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    if len(entries) > _MOST:
        raise Refused(f"{where}: more than {_MOST}")
    return [read_name(entry, where) for entry in entries]
