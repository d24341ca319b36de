"""The Authorization field of a request: the scheme and what it carries; pure.

Read only on routes that take it. What parsers read differently is refused, not
repaired: two fields, a list in one field, a tab between scheme and credential, a
second spelling of the same base64.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from gateway.http.headers import Line, is_token

_NAME: Final = b"authorization"
_LONGEST: Final = 16 * 1024
"""Bytes of a field; a provider's token lists groups, and a user name may be long."""


class CredentialKind(StrEnum):
    """How a request carries its credential: what a route may take."""

    COOKIE = "cookie"
    BEARER = "bearer"
    BASIC = "basic"


@dataclass(frozen=True, slots=True)
class NoAuthorization:
    """The request has no Authorization field."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The request has more than one: applications differ in which one they read."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The credential is not written as the scheme says."""

    scheme: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A scheme in lower case, and its secret: the bearer token, or the password.

    Of a scheme other than `bearer` and `basic` the secret is "".
    """

    scheme: str
    secret: str = field(repr=False)


Authorization: TypeAlias = NoAuthorization | Repeated | Unreadable | Sent

_NONE: Final = NoAuthorization()


def read_authorization(lines: Sequence[Line]) -> Authorization:
    """Return the credential in the end-to-end fields of a request.

    The scheme is case-insensitive (RFC 9110, section 11.1). Of Basic only the password
    counts: the user name may be anything that RFC 7617, section 2, allows.
    """
    values = [value for name, value, _ in lines if name.lower() == _NAME]
    if not values:
        return _NONE
    if len(values) > 1:
        return Repeated()
    name, _, rest = values[0].strip(b" \t").partition(b" ")
    scheme = name.lower().decode("latin-1")
    if not is_token(name) or len(rest) > _LONGEST:
        return Unreadable(scheme)
    # RFC 9110, section 11.4: one or more spaces, and no other white space.
    credential = rest.lstrip(b" ")
    if scheme == CredentialKind.BEARER:
        return _secret_of(scheme, credential)
    if scheme == CredentialKind.BASIC:
        return _basic(credential)
    return Sent(scheme, "")


def _secret_of(scheme: str, secret: bytes) -> Sent | Unreadable:
    if not secret or not secret.isascii():
        return Unreadable(scheme)
    return Sent(scheme, secret.decode("ascii"))


def _basic(credential: bytes) -> Sent | Unreadable:
    try:
        pair = b64decode(credential, validate=True)
        text = pair.decode("utf-8")
    except ValueError:
        return Unreadable(CredentialKind.BASIC)
    # RFC 4648, section 3.5: one text has one spelling.
    if b64encode(pair) != credential or not text.isprintable():
        return Unreadable(CredentialKind.BASIC)
    _, colon, password = text.partition(":")
    if not colon:
        return Unreadable(CredentialKind.BASIC)
    return _secret_of(CredentialKind.BASIC, password.encode())
