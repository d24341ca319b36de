"""Settings of an external session format, and findings about them."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatSettings:
    """The keys of `sessions` that describe a foreign format; None: not given.

    `secure` is whether browsers come by https.
    """

    format: str
    secure: bool = False
    cookie_name: str | None = None
    cookie_value: str | None = None
    secrets: Sequence[str] = field(default=(), repr=False)
    key_prefix: str | None = None
    allow_pickle: bool = False
    profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a setting. `where` is its place below `sessions`.

    `at_key`: it is about the key, not about its value.
    """

    where: Where
    message: str
    hint: str = ""
    at_key: bool = False


class FormatRefused(Exception):  # noqa: N818 - build reports it as a ConfigError
    """The settings make no profile; `findings` holds all that was found."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(finding.message for finding in findings))


class Findings:
    """Collects findings, to report all of them together."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def refuse(self, where: Where, message: str, hint: str = "") -> None:
        """Add a finding: invalid setting."""
        self.found.append(Finding(where=where, message=message, hint=hint))

    def refuse_key(self, where: Where, message: str, hint: str = "") -> None:
        """Add a finding: unknown setting."""
        self.found.append(Finding(where=where, message=message, hint=hint, at_key=True))

    def read(self, where: Where, given: Any, read: Callable[[Any], T]) -> T | None:
        """Read a setting; its ValueError becomes a finding, and None."""
        try:
            return read(given)
        except ValueError as error:
            self.refuse(where, str(error))
            return None

    def mapping(self, where: Where, given: object, known: Sequence[str]) -> bool:
        """Check that a setting is a mapping of known keys."""
        if not isinstance(given, Mapping):
            self.refuse(where, f"expected a mapping of {', '.join(known)}")
            return False
        self.check_keys(where, given, known)
        return True

    def check_keys(
        self, where: Where, given: Mapping[Any, Any], known: Sequence[str]
    ) -> None:
        """Refuse what is not known, with the name that is nearest."""
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, 1)
                hint = f'did you mean "{near[0]}"?' if near else ""
                self.refuse_key((*where, str(name)), f'unknown key "{name}"', hint)

    def flag(self, where: Where, given: object) -> bool:
        """Read true or false."""
        if not isinstance(given, bool):
            self.refuse(where, "expected true or false")
        return given is True


def text(read: Callable[[str], T]) -> Callable[[Any], T]:
    """Return a reader that accepts only strings."""

    def checked(given: Any) -> T:
        if not isinstance(given, str):
            raise ValueError("expected text")  # noqa: TRY004 - becomes a finding
        return read(given)

    return checked


def one_of(kinds: type[E]) -> Callable[[Any], E]:
    """Make a reader of a closed set."""

    def checked(given: Any) -> E:
        for kind in kinds:
            if kind.value == given:
                return kind
        raise ValueError(f"expected one of {', '.join(kinds)}")

    return checked


def several(given: object) -> list[Any]:
    """Return a list for a value that may be single, a list, or absent."""
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
