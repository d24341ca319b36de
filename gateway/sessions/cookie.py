"""The session cookie: read raw from the request, written with every attribute.

This parser exists because the common ones disagree with browsers and with each
other: they take a space for a separator, unquote, decode octal escapes, trim
Unicode spaces around names and silently choose among duplicates. Each of these
has let one program judge a cookie that another did not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final, Literal, assert_never

from gateway.reasons import Reason

COOKIES_MOST: Final = 8192
COOKIE_BYTES: Final = 4096
"""Cookie fields that a memo keeps, and the length of one: browsers allow 4 KiB each. All
of them together are bounded by the memo (GENERATION_BYTES)."""

TOKEN_BYTES: Final = 32
TOKEN_CHARS: Final = 43  # 32 bytes in base64url without padding

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# 43 characters hold 258 bits. The two spare ones must be zero (RFC 4648
# section 3.5), so that one token has one spelling.
_LAST: Final = frozenset(_ALPHABET[::4])


@dataclass(frozen=True, slots=True, eq=False)
class SessionToken:
    """The secret in the cookie. `key` is what stores and logs may know of it."""

    value: str = field(repr=False)
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", sha256(self.value.encode()).hexdigest())

    @property
    def fingerprint(self) -> str:
        """A short name for logs; it finds nothing and opens nothing."""
        return self.key[:12]

    def __str__(self) -> str:
        return f"SessionToken({self.fingerprint})"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionToken) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, slots=True)
class NoCookie:
    """The request has no session cookie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """There is a session cookie that the gateway cannot have set.

    `twice`: there are several that it can have set.
    """

    reason: Reason = Reason.MALFORMED
    detail: str
    twice: bool = False


_NO_COOKIE: Final = NoCookie()
_TWICE: Final = Malformed(detail="more than one session cookie", twice=True)
_SHAPE: Final = Malformed(detail="not 43 characters of canonical base64url")


def new_token(random: bytes) -> SessionToken:
    """Make a token of 32 random bytes; the caller draws them."""
    if len(random) != TOKEN_BYTES:
        raise ValueError(f"a session token is made of {TOKEN_BYTES} random bytes")
    number = int.from_bytes(random, "big") << 2
    return SessionToken(
        "".join(
            chr(_ALPHABET[number >> shift & 63])
            for shift in range(6 * (TOKEN_CHARS - 1), -1, -6)
        )
    )


def read_session_token(
    cookie_fields: Sequence[bytes], name: bytes
) -> SessionToken | NoCookie | Malformed:
    """Find the one session token among all Cookie fields of a request.

    Pairs are split at ";" only, trimmed of space and tab only, named exactly, and
    never unquoted. Two tokens are Malformed even if they are equal: a sibling domain
    can set a second one, and browsers do not agree on their order. A value that no
    token has was set by another program, and is ignored next to one.
    """
    found: bytes | None = None
    other = False
    for cookie_field in cookie_fields:
        if name not in cookie_field:
            continue
        for pair in cookie_field.split(b";"):
            key, equals, value = pair.strip(b" \t").partition(b"=")
            if key.rstrip(b" \t") != name or not equals:
                continue
            value = value.lstrip(b" \t")
            if not _is_token(value):
                other = True
            elif found is not None:
                return _TWICE
            else:
                found = value
    if found is None:
        return _SHAPE if other else _NO_COOKIE
    return SessionToken(found.decode("ascii"))


def _is_token(value: bytes) -> bool:
    return (
        len(value) == TOKEN_CHARS
        and not value.translate(None, _ALPHABET)
        and value[-1] in _LAST
    )


def strip_cookie(
    cookie_fields: Sequence[bytes], names: frozenset[bytes]
) -> bytes | None:
    """Return the Cookie value without the named cookies; None if none is left.

    The rest is unchanged except for the white space between pairs, in one field.
    """
    kept = []
    untouched = len(cookie_fields) == 1
    for cookie_field in cookie_fields:
        for spaced in cookie_field.split(b";"):
            pair = spaced.strip(b" \t")
            if pair.partition(b"=")[0].rstrip() in names:
                untouched = False
            elif pair:
                kept.append(pair)
    return (cookie_fields[0] if untouched else b"; ".join(kept)) or None


_PARENTS: Final = 8
"""The last so many domains of a host; no deployment shares cookies over more."""

SameSite = Literal["lax", "strict", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieSpec:
    """How the session cookie is called and set."""

    name: str
    secure: bool
    same_site: SameSite
    domain: str | None
    persistent: bool

    @property
    def wire_name(self) -> bytes:
        """The name as the parser above takes it."""
        return self.name.encode("ascii")

    def set_cookie(self, token: SessionToken, max_age: float | None) -> str:
        """Write a Set-Cookie value; without max_age it lives as long as the browser."""
        age = "" if max_age is None else f"; Max-Age={max(0, int(max_age))}"
        return f"{self.name}={token.value}{self.attributes}{age}"

    def clear_cookie(self) -> str:
        """Write the Set-Cookie value that removes the cookie.

        Name, Domain and Path are those it was set with, else another cookie
        would be meant (RFC 6265 section 5.3, step 11).
        """
        past = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        return f"{self.name}={self.attributes}; Max-Age=0; {past}"

    def clear_everywhere(self, host: str) -> tuple[str, ...]:
        """Write the Set-Cookie values that remove every cookie of this name.

        A page of `host` may remove its own and those of each parent domain (RFC 6265,
        section 5.3); a `__Host-` cookie has no domain. What a public suffix such as
        "co.uk" would cover is ignored by browsers.
        """
        domains: list[str | None] = [None]
        # An IP address has no parent: the last label of a name is never a number.
        if not self.name.startswith("__Host-") and not host[-1:].isdigit():
            labels = [] if host.startswith("[") else host.split(".")
            parents = range(max(0, len(labels) - _PARENTS - 1), len(labels) - 1)
            domains += [".".join(labels[at:]) for at in parents]
        # The own one first: curl, with a jar that it reads and writes, keeps only the
        # last removal, and its own cookie may stay.
        others = (each for each in domains if each != self.domain)
        return tuple(
            replace(self, domain=each).clear_cookie() for each in (self.domain, *others)
        )

    @property
    def attributes(self) -> str:
        """Path, Domain and flags, as they follow the value."""
        domain = f"; Domain={self.domain}" if self.domain else ""
        secure = "; Secure" if self.secure else ""
        return (
            f"; Path=/{domain}; HttpOnly{secure}; SameSite={_spelled(self.same_site)}"
        )


def cookie_spec(
    *,
    name: str,
    secure: bool,
    same_site: SameSite,
    domain: str | None,
    persistent: bool,
) -> CookieSpec:
    """Compile the cookie's configuration.

    A secure cookie without a domain is named `__Host-…`: browsers then refuse one
    that another host or plain HTTP has set (RFC 6265bis section 4.1.3.2).
    """
    prefixed = name.lower().startswith(("__host-", "__secure-"))
    host_only = secure and not domain and not prefixed
    return CookieSpec(
        name=f"__Host-{name}" if host_only else name,
        secure=secure,
        same_site=same_site,
        domain=domain,
        persistent=persistent,
    )


def _spelled(same_site: SameSite) -> str:
    match same_site:
        case "lax":
            return "Lax"
        case "strict":
            return "Strict"
        case "none":
            return "None"
        case _:
            assert_never(same_site)
