"""Profiles of the supported libraries, in the terms of `sessions.profile`.

A new library is an entry here; a custom format has the same terms in YAML.
docs/session-formats.md lists what each does beyond its library.

The library's own mark identifies the user, or that of its companion: Passport,
Flask-Login, django.contrib.auth, aiohttp-security. What an application stores next to
it (an e-mail address, roles) does not belong to the library, may be from before the
sign-in, and may stay after a sign-out: it counts only where the configuration
maps it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Signed(StrEnum):
    """Whether a library signs its cookie."""

    NEVER = "never"
    ALWAYS = "always"
    OPTIONAL = "if asked"
    BY_PROFILE = "as the profile says"


class Rotation(StrEnum):
    """Which secrets verify; the first always does."""

    FIRST = "first"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Default behavior of a library.

    `secure_cookie` is its cookie's name behind https. `key_prefix` may have {cookie}.
    """

    cookie: str
    secure_cookie: str | None = None
    value: str = "plain"
    key_prefix: str = ""
    signed: Signed = Signed.NEVER
    rotation: Rotation = Rotation.ALL
    may_pickle: bool = False
    other_credentials: tuple[str, ...] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)


_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

# Defaults of a profile.
DEFAULTS: Final[Mapping[str, Any]] = {
    "signature": "none",
    "salt": "",
    "key": "{prefix}{id}",
    "values": ["json"],
    "max_bytes": 65536,
    "expires": "ttl",
    "allow_no_ttl": False,
}

LIBRARIES: Final[Mapping[str, Library]] = {
    "better-auth": Library(
        cookie="better-auth.session_token",
        secure_cookie="__Secure-better-auth.session_token",
        value="percent",
        key_prefix="better-auth:",
        signed=Signed.ALWAYS,
        rotation=Rotation.FIRST,
        # The bearer plugin uses the token of this header instead of the cookie.
        other_credentials=("authorization",),
        profile={
            "signature": "hmac-sha256",
            "id": "[A-Za-z0-9]{32}",
            "echo": "$.session.token",
            "identity": "$.user.id",
            "email": "$.user.email",
            "name": "$.user.name",
            "traits": {"impersonated_by": "$.session.impersonatedBy"},
            "roles": "$.user.role",
            "active_tenant": "$.session.activeOrganizationId",
            "ip_address": "$.session.ipAddress",
            "user_agent": "$.session.userAgent",
            "deny": ["$.user.banned"],
            "expires": {"path": "$.session.expiresAt", "unit": "iso"},
            "created": {"path": "$.session.createdAt", "unit": "iso"},
        },
    ),
    "express-session": Library(
        cookie="connect.sid",
        value="percent",
        key_prefix="sess:",
        signed=Signed.ALWAYS,
        profile={
            "signature": "express",
            # Signed, so no client can choose it: `genid` may well write colons.
            "id": "[A-Za-z0-9_.:-]{16,128}",
            # Passport's mark, or by convention `req.session.user`. While there is a
            # `passport`, even an empty one, it alone decides.
            "identity": ["$.passport.user.id", "$.passport.user", "$.user.id"],
            "email": ["$.passport.user.email", "$.user.email"],
            "name": ["$.passport.user.name", "$.user.name"],
            "roles": [
                "$.passport.user.roles",
                "$.passport.user.role",
                "$.user.roles",
                "$.user.role",
            ],
        },
    ),
    "flask-session": Library(
        cookie="session",
        key_prefix="session:",
        signed=Signed.OPTIONAL,
        rotation=Rotation.FIRST,
        may_pickle=True,
        profile={
            "signature": "itsdangerous",
            "salt": "flask-session",
            "id": rf"[A-Za-z0-9_-]{{43}}|{_UUID}",
            "values": ["msgpack", "json"],
            "identity": "$._user_id",
        },
    ),
    "django": Library(
        cookie="sessionid",
        key_prefix=":1:django.contrib.sessions.cache",
        may_pickle=True,
        profile={
            "id": "[0-9a-z]{32}",
            "values": ["json", "msgpack"],
            "identity": "$._auth_user_id",
        },
    ),
    "starsessions": Library(
        cookie="session",
        key_prefix="starsessions.",
        profile={
            "id": "[0-9a-f]{32}",
            # It has no mark of its own: by convention, `session["user"]`.
            "identity": ["$.user.id", "$.user_id"],
            "email": "$.user.email",
            "name": "$.user.name",
            "roles": ["$.user.roles", "$.user.role"],
            "created": {"path": "$.__metadata__.created", "unit": "s"},
        },
    ),
    "aiohttp-session": Library(
        cookie="AIOHTTP_SESSION",
        key_prefix="{cookie}_",
        profile={
            "id": "[0-9a-f]{32}",
            "identity": "$.session.AIOHTTP_SECURITY",
            # `created` changes at every write, so it is not the time of sign-in.
            "allow_no_ttl": True,  # the library's default, max_age=None
        },
    ),
    "authjs": Library(
        cookie="authjs.session-token",
        secure_cookie="__Secure-authjs.session-token",
        profile={
            "id": f"{_UUID}|[0-9a-f]{{64}}",
            "key": "{prefix}user:session:{id}",
            "echo": "$.sessionToken",
            "then": {
                "key": "{prefix}user:{$.userId}",
                "id": "[A-Za-z0-9_-]{1,64}",
                "echo": "$then.id",
            },
            "identity": "$then.id",
            "email": "$then.email",
            "name": "$then.name",
            "roles": ["$then.roles", "$then.role"],
            "expires": {"path": "$.expires", "unit": "iso"},
            "allow_no_ttl": True,  # its keys have none; `expires` decides
        },
    ),
    "lucia": Library(
        cookie="session",
        key_prefix="session:",
        profile={
            "id": "[a-z2-7]{32}",
            "key": "{prefix}{sha256:id}",
            "echo": "$.id",
            "identity": "$.user_id",
            "expires": {"path": "$.expires_at", "unit": "s"},
        },
    ),
    "json": Library(cookie="", value="plain", signed=Signed.BY_PROFILE),
}
