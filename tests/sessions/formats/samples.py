"""Settings as a configuration would have them."""

from typing import Any

from gateway.sessions.formats.settings import FormatSettings

SECRETS = ("fixture-secret-not-for-production-000",)
CUSTOM = {
    "signature": "none",
    "id": "[A-Za-z0-9_-]{32,64}",
    "key": "sess:{id}",
    "max_bytes": 16384,
    "identity": "$.user.id",
    "email": "$.user.email",
    "roles": "$.user.roles",
    "active_tenant": "$.org.id",
    "tenants": "$.memberships",
    "deny": ["$.user.banned"],
    "expires": "ttl",
    "allow_no_ttl": False,
}


def settings(name: str = "json", **stated: Any) -> FormatSettings:
    if name == "json":
        stated.setdefault("cookie_name", "sid")
        stated["profile"] = {**CUSTOM, **stated.get("profile", {})}
    return FormatSettings(format=name, **stated)
