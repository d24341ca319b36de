"""The genuine sessions, and the way from a cookie to a judgement without I/O."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.sessions.cookie import Malformed, NoCookie
from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.credential import read_credential
from gateway.sessions.formats.engine import NeedsLookup, Stored, interpret_record
from gateway.sessions.formats.profile import Profile
from gateway.sessions.formats.settings import FormatSettings
from gateway.sessions.record import AnonymousSession, Corrupt, Session

VECTORS = Path(__file__).parents[2] / "vectors" / "sessions"

Outcome = Session | Corrupt | AnonymousSession | NoCookie | Malformed | None

_FORMATS = {
    "aiohttp_session": "aiohttp-session",
    "authjs_upstash": "authjs",
    "better_auth": "better-auth",
    "django": "django",
    "express_session": "express-session",
    "flask_session": "flask-session",
    "lucia": "lucia",
    "starsessions": "starsessions",
}
# What the applications of the scenarios keep beside the library's own mark.
_BAG = {"email": "$.email", "roles": "$.roles", "active_tenant": "$.org_id"}
_PROFILES: dict[str, Mapping[str, Any]] = {
    "aiohttp_session": {
        "email": "$.session.email",
        "roles": "$.session.role",
        "active_tenant": "$.session.org_id",
    },
    "django": _BAG,
    "flask_session": _BAG,
    "starsessions": {"active_tenant": "$.org_id"},
    "express_session/custom_maxage": {"active_tenant": "$.user.orgId"},
}
_PICKLED = ("cached_db", "core_redis", "django_redis_pickle", "pickle_0_5")


@dataclass(frozen=True)
class Redis:
    """Keys as they were, asked as the gateway asks."""

    keys: Mapping[str, Stored] = field(default_factory=dict)

    def ask(self, key: str) -> Stored:
        return self.keys.get(key, Stored(value=None))


@dataclass(frozen=True)
class Scenario:
    """One folder of vectors."""

    library: str
    name: str

    @property
    def id(self) -> str:
        return f"{self.library}/{self.name}"

    @property
    def folder(self) -> Path:
        return VECTORS / self.library / self.name

    @property
    def expected(self) -> dict[str, Any]:
        document: dict[str, Any] = self._json("expected.json")
        return document

    @property
    def now(self) -> float:
        return datetime.fromisoformat(self.expected["generated_at"]).timestamp()

    @property
    def cookie(self) -> bytes:
        return (self.folder / "cookie.txt").read_bytes().strip()

    @property
    def tampered(self) -> dict[str, tuple[bytes, bool]]:
        """Cookies by variant, and whether the library accepts each."""
        return {
            variant: (
                reported["cookie"].encode(),
                reported["library_says"].startswith("VALID"),
            )
            for variant, reported in self._json("tampered.json").items()
        }

    @property
    def redis(self) -> Redis:
        return Redis(
            {
                row["key"]: Stored(
                    value=base64.b64decode(row["value_base64"]),
                    pttl=-1 if row["ttl"] == -1 else row["ttl"] * 1000,
                )
                for row in self._json("redis.json")
            }
        )

    @property
    def settings(self) -> FormatSettings:
        secrets = [
            line
            for line in (self.folder / "secret.txt").read_text().splitlines()
            if line and not line.startswith("#")
        ]
        signed = self.library in ("better_auth", "express_session")
        expected = self.expected
        cookie_name = expected.get("cookie_name")
        if cookie_name is None:
            cookie_name = self.cookie.partition(b"=")[0].decode()
        return FormatSettings(
            format=_FORMATS[self.library],
            cookie_name=cookie_name,
            secrets=secrets if signed else (),
            key_prefix=self._prefix(),
            allow_pickle=self.name.startswith(_PICKLED),
            profile=_PROFILES.get(self.id, _PROFILES.get(self.library, {})),
        )

    @property
    def profile(self) -> Profile:
        return compile_format(self.settings)

    def _prefix(self) -> str | None:
        if self.id == "authjs_upstash/base_prefix":
            return "app1:"
        if self.library == "django":
            return str(self.expected["session_key"])[:-32]
        prefix = self.expected.get("key_prefix")
        return None if prefix is None else str(prefix)

    def _json(self, name: str) -> Any:
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else {}


SCENARIOS = [
    Scenario(folder.parent.name, folder.name)
    for folder in sorted(VECTORS.glob("*/*"))
    if folder.is_dir()
]


def ask(
    profile: Profile, cookie_fields: list[bytes], redis: Redis, now: float
) -> Outcome:
    """Go the whole way: cookie, first look-up, second if it is wanted."""
    credential = read_credential(profile, cookie_fields)
    if isinstance(credential, NoCookie | Malformed):
        return credential
    stored = redis.ask(credential.record_key)
    interpreted = interpret_record(profile, credential, stored, now)
    if isinstance(interpreted, NeedsLookup):
        interpreted = interpret_record(
            profile, credential, stored, now, redis.ask(interpreted.key)
        )
    assert not isinstance(interpreted, NeedsLookup)
    return interpreted


def signed_in(outcome: Outcome, now: float) -> bool:
    """Tell whether somebody is, as `authenticate` would."""
    return isinstance(outcome, Session) and outcome.active and outcome.expires_at > now
