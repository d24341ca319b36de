"""Warnings about settings of an external session format."""

from gateway.sessions.formats.profile import Profile
from gateway.sessions.formats.profiles import LIBRARIES, Rotation
from gateway.sessions.formats.settings import Finding, FormatSettings
from gateway.sessions.formats.signatures import Signature


def find_warnings(settings: FormatSettings, profile: Profile) -> tuple[Finding, ...]:
    """Return the warnings of `gateway check` about a session format."""
    found: list[Finding] = []
    library = LIBRARIES[settings.format]
    if settings.secrets and profile.verifier.signature is Signature.NONE:
        found.append(
            Finding(
                where=("secrets",),
                message=f"{settings.format} does not sign its cookie: "
                "the secrets are not used",
                hint="remove the key",
            )
        )
    elif len(settings.secrets) > 1 and library.rotation is Rotation.FIRST:
        found.append(
            Finding(
                where=("secrets",),
                message="only the first secret verifies, as in the library",
            )
        )
    if profile.active_tenant and not profile.tenants:
        found.append(
            Finding(
                where=("profile", "tenants"),
                message="the session names an active tenant and no memberships: "
                "what cannot be checked is not believed, so no tenant is active",
                hint="say in sessions.profile.tenants where the memberships are",
            )
        )
    if profile.expires is None and profile.allow_no_ttl:
        found.append(
            Finding(
                where=("profile", "allow_no_ttl"),
                message="a session whose key has no TTL never expires",
            )
        )
    return tuple(found)
