"""Meaning of an unquoted scalar: true, false, null, a decimal number, or text.

YAML 1.1 and 1.2 disagree about many others, and people about all of them; those
are refused, with the way to write what was meant.
"""

import re
from typing import Final

Plain = str | int | float | bool | None


class ScalarError(ValueError):
    """An unquoted scalar that readers understand differently."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def resolve(text: str, *, written: bool) -> Plain:
    """Return what the unquoted `text` means.

    With `written` false the text came out of a variable: its author did not write
    YAML, so what would surprise is plain text and nothing is raised.

    Raises:
        ScalarError: the text is one of YAML's surprises.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    first = text[0]
    if first not in _START and text.casefold() not in _WORDS:
        return text
    if len(text) <= _LONGEST_NUMBER:
        if _INTEGER(text):
            return int(text)
        if _DECIMAL(text):
            return float(text)
    if written:
        _surprise(text)
    return text


def _surprise(text: str) -> None:
    if (meant := _WORDS.get(text.casefold())) is not None:
        raise ScalarError(
            f"{text} means different things to different readers",
            f'write {meant}, or "{text}" for the text',
        )
    for pattern, message, hint in _SURPRISES:
        if pattern(text):
            quoted = f'"{text}"' if len(text) <= _SHOWN else "quotes"
            raise ScalarError(message, hint.format(quoted))


_CONSTANTS: Final[dict[str, Plain]] = {
    "": None,
    "null": None,
    "true": True,
    "false": False,
}
_WORDS: Final = {
    "true": "true",
    "yes": "true",
    "on": "true",
    "y": "true",
    "false": "false",
    "no": "false",
    "off": "false",
    "n": "false",
    "null": "null",
    "~": "null",
}
_START: Final = frozenset("0123456789+-.=<")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)").fullmatch
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+").fullmatch
_LONGEST_NUMBER: Final = 18
_SHOWN: Final = 40
_SURPRISES: Final = (
    (
        re.compile(r"[-+]?0[0-9_]+").fullmatch,
        "a number with a leading zero is octal to some readers",
        "write it without the zero, or {} for the text",
    ),
    (
        re.compile(r"[-+]?0[xob][0-9A-Fa-f_]+").fullmatch,
        "only decimal numbers are read",
        "write it in decimal, or {} for the text",
    ),
    (
        re.compile(r"[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9_]*)?").fullmatch,
        "digits with colons are a base-60 number to some readers",
        "write {} for the text",
    ),
    (
        re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?").fullmatch,
        "dates are not supported",
        "write {} for the text",
    ),
    (
        re.compile(r"[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)").fullmatch,
        "infinity and not-a-number are not allowed",
        "write a number, or {} for the text",
    ),
    (
        re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?").fullmatch,
        "a number has no underscores here",
        "write digits only, or {} for the text",
    ),
    (
        re.compile(r"[-+]?(?:[0-9]+\.?|[0-9]*\.[0-9]+)[eE][-+]?[0-9]+").fullmatch,
        "a number has no exponent here",
        "write it out, or {} for the text",
    ),
    (
        re.compile(r"[-+]?(?:[0-9]+\.?|[0-9]*\.[0-9]+)").fullmatch,
        "not a plain decimal number",
        "write one such as 10 or 0.5, of at most 18 digits, or {} for the text",
    ),
    (
        re.compile(r"=|<<").fullmatch,
        "this sign has a meaning of its own to some readers",
        "write {} for the text",
    ),
)
