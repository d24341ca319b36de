"""One sign-in in progress: its secret, what is derived from it, and its cookie.

An attempt is kept in the browser that began it, in a cookie of its own, for a quarter
of an hour. Nothing is stored for a visitor who has not signed in. State, nonce and PKCE
verifier are derived from one secret, so an answer fits only the browser, the provider
and the attempt that it was requested for.

The cookie has a MAC with a key of the gateway, so that its browser cannot change when the
attempt began: a logout by the provider ends the attempts that are older. The address to
return to is validated again, and a session has the assurance that the ID token proves.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from gateway.http import base64url

LIFETIME: Final = 900
"""Seconds."""
SLOTS: Final = 12
"""Attempts of one browser at a time; the oldest is replaced."""
_MOST_BYTES: Final = 4096
"""Of all attempt cookies together: half of what common servers accept as one header."""
_LONGEST_RETURN: Final = 1024
_MAC_BYTES: Final = 16

Step: TypeAlias = Literal["none", "fresh", "aal"]
"""What a sign-in has to bring: nothing more, a fresh sign-in, or a higher assurance."""
_STEPS: Final[tuple[Step, ...]] = ("none", "fresh", "aal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One sign-in in progress.

    began      seconds since the epoch
    return_to  a validated address; "" if it was too long to keep
    """

    provider: str
    secret: str = field(repr=False)
    began: int
    step: Step = "none"
    return_to: str = ""

    @property
    def state(self) -> str:
        """The `state` of the authorization request."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """The `nonce` of the ID token."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """The PKCE code verifier (RFC 7636, section 4.1), 43 characters."""
        return self._derived("verifier")

    def current(self, now: float) -> bool:
        """Return whether the attempt is not too old."""
        return -60 <= now - self.began <= LIFETIME

    def _derived(self, label: str) -> str:
        message = f"{label} {self.provider}".encode()
        digest = hmac.digest(self.secret.encode(), message, hashlib.sha256)
        return base64url.encode(digest)


def new_attempt(
    provider: str, secret: bytes, now: float, *, step: Step = "none", return_to: str
) -> Attempt:
    """Return a new attempt; `secret` is 32 random bytes, `return_to` is validated."""
    return Attempt(
        provider=provider,
        secret=base64url.encode(secret),
        began=int(now),
        step=step,
        return_to=return_to if len(return_to) <= _LONGEST_RETURN else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCookies:
    """The cookies of attempts; `stem` is what their names begin with."""

    stem: str
    secure: bool
    domain: str | None = None
    """That of the session cookie: a sign-out may begin on another host."""
    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """The keys of the MACs by provider; one without a key has no attempts."""

    @property
    def names(self) -> frozenset[bytes]:
        """Every name, so that no upstream gets or sets one."""
        names = [self._name(slot) for slot in range(SLOTS)]
        return frozenset(
            name.encode("ascii") for name in (*names, self._recent, self._leaving)
        )

    def read(self, cookie_fields: Sequence[bytes]) -> dict[int, Attempt | None]:
        """Return the attempts of a request by slot; None for one that is not readable.

        A cookie that is there twice is not readable: another host may have set one.
        """
        slots = {self._name(slot).encode("ascii"): slot for slot in range(SLOTS)}
        found: dict[int, Attempt | None] = {}
        for name, value in _pairs(cookie_fields, self.stem.encode("ascii")):
            slot = slots.get(name)
            if slot is not None:
                found[slot] = None if slot in found else self._decoded(value)
        return found

    def begin(
        self, attempt: Attempt, held: Mapping[int, Attempt | None], draw: int
    ) -> tuple[str, ...]:
        """Return the Set-Cookie values that keep an attempt, within the bounds.

        Args:
            attempt: the new one.
            held: what `read` returned.
            draw: a random number: two tabs that begin at once choose different slots.
        """
        kept = sorted(
            ((each.began, slot) for slot, each in held.items() if each is not None),
            reverse=True,
        )
        value = self._value(attempt)
        left = _MOST_BYTES - len(value)
        living: set[int] = set()
        for _, slot in kept[: SLOTS - 1]:
            each = held[slot]
            left -= 0 if each is None else len(self._value(each))
            if left < 0:
                break
            living.add(slot)
        free = [slot for slot in range(SLOTS) if slot not in living]
        chosen = free[draw % len(free)]
        dropped = sorted(held.keys() - living - {chosen})
        return (
            f"{self._name(chosen)}={value}{self._attributes}; Max-Age={LIFETIME}",
            *(self.clear(slot) for slot in dropped),
        )

    def clear(self, slot: int) -> str:
        """Return the Set-Cookie value that removes one attempt."""
        return f"{self._name(slot)}={self._attributes}; Max-Age=0"

    def note_sign_in(self) -> str:
        """Return the Set-Cookie value that notes a sign-in, for half a minute."""
        return f"{self._recent}=1{self._attributes}; Max-Age=30"

    def signed_in_recently(self, cookie_fields: Sequence[bytes]) -> bool:
        """Return whether a sign-in of this browser has just ended.

        If it has no session all the same, another redirect would begin a loop.
        """
        name = self._recent.encode("ascii")
        return any(found == name for found, _ in _pairs(cookie_fields, name))

    def forget_sign_in(self, cookie_fields: Sequence[bytes]) -> tuple[str, ...]:
        """Return the Set-Cookie values that remove the note of a sign-in, if any."""
        if not self.signed_in_recently(cookie_fields):
            return ()
        return (f"{self._recent}={self._attributes}; Max-Age=0",)

    def note_sign_out(self, state: str, return_to: str) -> str:
        """Return the Set-Cookie value that keeps where a sign-out at a provider leads."""
        place = base64url.encode(return_to.encode())
        return f"{self._leaving}={state}.{place}{self._shared}; Max-Age={LIFETIME}"

    def read_sign_out(self, cookie_fields: Sequence[bytes], state: str) -> str | None:
        """Return the address of `note_sign_out`, not validated; None for another state."""
        name = self._leaving.encode("ascii")
        found = [v for n, v in _pairs(cookie_fields, name) if n == name]
        if len(found) != 1 or not state:
            return None
        kept, _, place = found[0].partition(b".")
        if not hmac.compare_digest(kept, state.encode()):
            return None
        try:
            return base64url.decode(place).decode()
        except ValueError:
            return None

    def forget_sign_out(self) -> str:
        """Return the Set-Cookie value that removes it."""
        return f"{self._leaving}={self._shared}; Max-Age=0"

    @property
    def _leaving(self) -> str:
        return f"{self.stem.removeprefix('__Host-')}_signing_out"

    @property
    def _shared(self) -> str:
        domain = "" if self.domain is None else f"; Domain={self.domain}"
        return f"{self._attributes}{domain}"

    @property
    def _recent(self) -> str:
        return f"{self.stem}_signed_in"

    @property
    def _attributes(self) -> str:
        # Lax: the answer comes by a navigation from the provider's site.
        secure = "; Secure" if self.secure else ""
        return f"; Path=/; HttpOnly{secure}; SameSite=Lax"

    def _value(self, attempt: Attempt) -> str:
        text = _plain(attempt)
        return f"{_mac(text, self.keys[attempt.provider])}.{text}"

    def _decoded(self, raw: bytes) -> Attempt | None:
        """Return the attempt in a cookie; None if this gateway did not write it so."""
        if len(raw) > _MOST_BYTES or not raw.isascii():
            return None
        mac, _, text = raw.decode("ascii").partition(".")
        attempt = _parsed(text)
        key = None if attempt is None else self.keys.get(attempt.provider)
        if key is None or not hmac.compare_digest(mac, _mac(text, key)):
            return None
        return attempt

    def _name(self, slot: int) -> str:
        return f"{self.stem}_attempt_{slot}"


def find_attempt(
    held: Mapping[int, Attempt | None], state: str, provider: str, now: float
) -> tuple[int, Attempt] | None:
    """Return the attempt that an answer belongs to, with its slot; None if there is none.

    Args:
        held: the attempts of the browser.
        state: the `state` of the answer.
        provider: the provider whose address the answer came to.
        now: seconds since the epoch.
    """
    for slot, attempt in held.items():
        if attempt is None or attempt.provider != provider or not attempt.current(now):
            continue
        if hmac.compare_digest(attempt.state.encode(), state.encode()):
            return slot, attempt
    return None


def _plain(attempt: Attempt) -> str:
    place = base64url.encode(attempt.return_to.encode())
    return f"{attempt.secret}.{attempt.began}.{attempt.step}.{place}.{attempt.provider}"


def _parsed(text: str) -> Attempt | None:
    parts = text.split(".", 4)
    if len(parts) != 5 or len(parts[0]) != 43:
        return None
    secret, began, step, place, provider = parts
    wanted = next((known for known in _STEPS if known == step), None)
    if wanted is None or not (began.isdigit() and len(began) <= 12):
        return None
    try:
        return_to = base64url.decode(place).decode()
    except ValueError:
        return None
    return Attempt(
        provider=provider,
        secret=secret,
        began=int(began),
        step=wanted,
        return_to=return_to[:_LONGEST_RETURN],
    )


def _mac(text: str, key: bytes) -> str:
    digest = hmac.digest(key, text.encode(), hashlib.sha256)
    return base64url.encode(digest[:_MAC_BYTES])


def _pairs(cookie_fields: Sequence[bytes], stem: bytes) -> list[tuple[bytes, bytes]]:
    """Return the pairs whose name begins so, parsed like the session cookie."""
    found = []
    for cookie_field in cookie_fields:
        if stem not in cookie_field:
            continue
        for pair in cookie_field.split(b";"):
            name, equals, value = pair.strip(b" \t").partition(b"=")
            if equals and name.startswith(stem):
                found.append((name.rstrip(b" \t"), value.lstrip(b" \t")))
    return found
