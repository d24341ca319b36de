"""Validators of text: one line, a path, a prefix of key names."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationInfo

from gateway.config.diagnostic import expected


def one_or_many(value: Any) -> Any:
    """Return a single value as a tuple of one."""
    return value if isinstance(value, tuple) else (value,)


def prefix(value: Any) -> str:
    """Accept the prefix of the names of keys; it may be empty."""
    if not isinstance(value, str) or _PREFIX(value) is None:
        raise expected("printable ASCII, or nothing in quotes")
    return value


_PREFIX = re.compile(r"[ -~]{0,128}").fullmatch


def text(value: Any) -> str:
    """Accept one line of text that is not empty."""
    if not isinstance(value, str):
        raise expected("text", "put it in quotes" if _is_scalar(value) else "")
    if not value or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise expected("one line of text")
    return value


def file_path(value: Any, info: ValidationInfo) -> str:
    """Accept a path; one that is not absolute starts at the configuration's folder."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise expected("a path")
    folder = (info.context or {}).get("folder")
    return str(Path(folder) / value) if folder is not None else value


def keys_place(value: Any, info: ValidationInfo) -> str:
    """Accept `embedded` or a folder."""
    return "embedded" if value == "embedded" else file_path(value, info)


def _is_scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, (tuple, Mapping))


_LONGEST_TEXT: Final = 2048
