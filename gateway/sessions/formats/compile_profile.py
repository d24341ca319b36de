"""Compile format settings into a Profile, or report what is invalid."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.sessions.formats.codecs import Codec
from gateway.sessions.formats.id_pattern import IdPattern, compile_id_pattern
from gateway.sessions.formats.key_template import IdKey, parse_id_key, parse_path_key
from gateway.sessions.formats.paths import FallbackPaths, Path, parse_path
from gateway.sessions.formats.profile import CookieValue, Profile, Then, TimeField, Unit
from gateway.sessions.formats.profiles import (
    DEFAULTS,
    LIBRARIES,
    Library,
    Rotation,
    Signed,
)
from gateway.sessions.formats.settings import (
    Finding,
    Findings,
    FormatRefused,
    FormatSettings,
    Where,
    one_of,
    several,
    text,
)
from gateway.sessions.formats.signatures import Signature, Verifier, verifier
from gateway.sessions.timestamps import LATEST

MAX_BYTES: Final = 1024 * 1024
MAX_PLACES: Final = 8


def compile_format(settings: FormatSettings) -> Profile:
    """Compile the profile of a format.

    Raises:
        FormatRefused: with a finding for each setting that cannot be used.
    """
    library = LIBRARIES.get(settings.format)
    if library is None:
        problem = f'unknown session format "{settings.format}"'
        raise FormatRefused([Finding(where=("format",), message=problem)])
    findings = Findings()
    profile = _Compiler(settings, library, findings).profile()
    if findings.found:
        raise FormatRefused(findings.found)
    return Profile(**profile)


class _Compiler:
    """Reads each setting once, and goes on after a wrong one."""

    def __init__(
        self, settings: FormatSettings, library: Library, findings: Findings
    ) -> None:
        self._settings = settings
        self._library = library
        self._findings = findings
        self._given = {**DEFAULTS, **library.profile, **settings.profile}

    def profile(self) -> dict[str, Any]:
        """Return the parts of a Profile; valid only if there are no findings."""
        self._check_keys()
        cookie = self._cookie_name()
        prefix = self._prefix(cookie)
        key = self._key(prefix)
        signature = self._signature()
        return {
            "format": self._settings.format,
            "cookie_name": cookie.encode("ascii", "replace"),
            "cookie_value": self._cookie_value(),
            "verifier": self._verifier(signature),
            "id": self._id_pattern(signature, key),
            "key": key,
            "echo": self._echo(),
            "then": self._then(prefix),
            "codecs": self._codecs(),
            "max_bytes": self._max_bytes(),
            "identity": self._identity(),
            "traits": self._traits(),
            **{name: self._paths(name) for name in _PLACES},
            "deny": self._paths("deny").paths,
            "expires": self._expires(),
            "created": self._created(),
            "allow_no_ttl": self._findings.flag(
                ("profile", "allow_no_ttl"), self._given["allow_no_ttl"]
            ),
            "other_credentials": frozenset(
                name.encode("ascii") for name in self._library.other_credentials
            ),
        }

    def _check_keys(self) -> None:
        refuse = self._findings.refuse
        self._findings.check_keys(("profile",), self._settings.profile, PROFILE_KEYS)
        if self._settings.allow_pickle and not self._library.may_pickle:
            known = [name for name, each in LIBRARIES.items() if each.may_pickle]
            refuse(("allow_pickle",), f"only {' and '.join(known)} know it")
        for name, given in self._given.items():
            if self._given.get("then") is None and "$then" in str(given):
                refuse(("profile", name), "$then without a second look-up, `then`")

    # the cookie

    def _cookie_name(self) -> str:
        where = ("cookie", "name")
        library = self._library
        name = self._settings.cookie_name
        if name is None:
            name = (self._settings.secure and library.secure_cookie) or library.cookie
        if not name:
            self._findings.refuse(where, "the cookie's name is missing")
        elif not set(name) <= _TOKEN:
            self._findings.refuse(where, "this cannot be the name of a cookie")
        return name

    def _cookie_value(self) -> CookieValue | None:
        given = self._settings.cookie_value or self._library.value
        return self._findings.read(("cookie", "value"), given, one_of(CookieValue))

    def _signature(self) -> Signature:
        where = ("profile", "signature")
        if self._library.signed is Signed.OPTIONAL and not self._settings.secrets:
            return Signature.NONE
        found = self._findings.read(where, self._given["signature"], one_of(Signature))
        if self._library.signed is Signed.ALWAYS and found is Signature.NONE:
            problem = f"{self._settings.format} signs its cookie"
            self._findings.refuse(where, problem)
        return found or Signature.NONE

    def _verifier(self, signature: Signature) -> Verifier | None:
        secrets = list(self._settings.secrets)
        if self._library.rotation is Rotation.FIRST:
            secrets = secrets[:1]
        salt = self._given["salt"]
        if not isinstance(salt, str):
            self._findings.refuse(("profile", "salt"), "expected text")
            return None
        if signature is Signature.ITSDANGEROUS and not salt:
            problem = "missing: itsdangerous derives its key with a salt"
            self._findings.refuse(("profile", "salt"), problem)
            return None
        return self._findings.read(
            ("secrets",), secrets, lambda given: verifier(signature, given, salt=salt)
        )

    def _id_pattern(self, signature: Signature, key: IdKey | None) -> IdPattern | None:
        where = ("profile", "id")
        given = self._given.get("id")
        if given is None:
            self._findings.refuse(where, "missing: set the pattern of a session id")
            return None
        found = self._findings.read(where, given, text(compile_id_pattern))
        bare = signature is Signature.NONE and key is not None and not key.hashed
        if found is not None and bare and ":" in found.text.replace("(?:", ""):
            problem = "an unsigned id may hold a colon, and so name another key"
            self._findings.refuse(where, problem)
        return found

    # the value

    def _prefix(self, cookie: str) -> str:
        given = self._settings.key_prefix
        if given is None:
            return self._library.key_prefix.replace("{cookie}", cookie)
        if "{prefix}" not in str(self._given["key"]):
            problem = "the profile's key has no place for it"
            hint = "write the prefix into the key, or {prefix}"
            self._findings.refuse(("key_prefix",), problem, hint)
        if set("{}") & set(given):
            self._findings.refuse(("key_prefix",), "a prefix has no braces")
            return ""
        return given

    def _key(self, prefix: str) -> IdKey | None:
        where = ("profile", "key")
        given = (*self._library.profile, *self._settings.profile)
        if not prefix and self._settings.key_prefix is None and "key" not in given:
            self._findings.refuse(where, "missing: set the key that holds a session")
            return None
        return self._findings.read(
            where,
            self._given["key"],
            text(lambda template: parse_id_key(template, prefix=prefix)),
        )

    def _echo(self) -> Path | None:
        return self._echo_in(("profile", "echo"), self._given.get("echo"), then=False)

    def _then(self, prefix: str) -> Then | None:
        where: Where = ("profile", "then")
        given = self._given.get("then")
        known = ("key", "id", "echo", "required")
        if given is None or not self._findings.mapping(where, given, known):
            return None
        read = self._findings.read
        key = read(
            (*where, "key"),
            given.get("key"),
            text(lambda template: parse_path_key(template, prefix=prefix)),
        )
        id_text = given.get("id", _THEN_ID)
        pattern = read((*where, "id"), id_text, text(compile_id_pattern))
        echo = self._echo_in((*where, "echo"), given.get("echo"), then=True)
        required = self._findings.flag(
            (*where, "required"), given.get("required", True)
        )
        if key is None or pattern is None:
            return None
        return Then(key=key, id=pattern, echo=echo, required=required)

    def _echo_in(self, where: Where, given: object, *, then: bool) -> Path | None:
        if given is None:
            return None
        found = self._findings.read(where, given, text(parse_path))
        if found is not None and found.then is not then:
            root = "$then" if then else "$"
            self._findings.refuse(where, f"expected a path into {root}")
        return found

    def _codecs(self) -> frozenset[Codec]:
        where = ("profile", "values")
        given = several(self._given["values"])
        read = [self._findings.read(where, each, one_of(Codec)) for each in given]
        codecs = frozenset(codec for codec in read if codec is not None)
        if not given:
            self._findings.refuse(where, f"expected some of {', '.join(Codec)}")
        if Codec.PICKLE in codecs:
            self._findings.refuse(where, "pickles are read where allow_pickle is set")
        return codecs | {Codec.PICKLE} if self._settings.allow_pickle else codecs

    def _max_bytes(self) -> int:
        given = self._given["max_bytes"]
        if type(given) is int and 0 < given <= MAX_BYTES:
            return given
        problem = f"expected a number from 1 to {MAX_BYTES}"
        self._findings.refuse(("profile", "max_bytes"), problem)
        return 0

    # what it says

    def _identity(self) -> FallbackPaths:
        where = ("profile", "identity")
        if self._given.get("identity") is None:
            problem = "missing: set where the session holds the identity"
            self._findings.refuse(where, problem)
        return self._paths("identity")

    def _traits(self) -> tuple[tuple[str, FallbackPaths], ...]:
        where: Where = ("profile", "traits")
        given = self._given.get("traits") or {}
        if not isinstance(given, Mapping):
            self._findings.refuse(where, "expected a mapping from names to paths")
            return ()
        found = [(name, self._paths(name)) for name in ("email", "name")]
        found += [
            (str(name), self._paths_in((*where, str(name)), paths))
            for name, paths in given.items()
        ]
        return tuple((name, paths) for name, paths in found if paths)

    def _paths(self, name: str) -> FallbackPaths:
        return self._paths_in(("profile", name), self._given.get(name))

    def _paths_in(self, where: Where, given: object) -> FallbackPaths:
        texts = several(given)
        if len(texts) > MAX_PLACES:
            self._findings.refuse(where, f"at most {MAX_PLACES} paths")
        found = [self._findings.read(where, each, text(parse_path)) for each in texts]
        return FallbackPaths(tuple(path for path in found if path is not None))

    # how long

    def _expires(self) -> TimeField | None:
        given = self._given["expires"]
        if given == "ttl":
            return None
        if isinstance(given, Mapping):
            return self._time_field(("profile", "expires"), given)
        problem = "expected ttl, or a mapping of path and unit"
        self._findings.refuse(("profile", "expires"), problem)
        return None

    def _created(self) -> TimeField | None:
        given = self._given.get("created")
        return (
            None if given is None else self._time_field(("profile", "created"), given)
        )

    def _time_field(self, where: Where, given: Any) -> TimeField | None:
        if not self._findings.mapping(where, given, ("path", "unit", "plus")):
            return None
        read = self._findings.read
        path = read((*where, "path"), given.get("path"), text(parse_path))
        unit = read((*where, "unit"), given.get("unit"), one_of(Unit))
        plus = given.get("plus", 0)
        if isinstance(plus, bool) or not isinstance(plus, int | float) or not plus >= 0:
            self._findings.refuse((*where, "plus"), "expected a number of seconds")
            return None
        if path is None or unit is None:
            return None
        return TimeField(path=path, unit=unit, plus=float(min(plus, LATEST)))


_PLACES: Final = ("roles", "tenants", "active_tenant", "ip_address", "user_agent")
_THEN_ID: Final = "[A-Za-z0-9_-]{1,64}"
# A token of RFC 9110, section 5.6.2: what RFC 6265, section 4.1.1 lets a name be.
_TOKEN: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"
)
PROFILE_KEYS: Final = (
    "signature",
    "salt",
    "id",
    "key",
    "echo",
    "then",
    "values",
    "max_bytes",
    "identity",
    "email",
    "name",
    "traits",
    *_PLACES,
    "deny",
    "expires",
    "created",
    "allow_no_ttl",
)
