"""Query parameters: only those that every parser reads alike."""

from typing import Final
from urllib.parse import parse_qsl

_MOST: Final = 30


def parse_query(query: str | None) -> dict[str, str] | None:
    """Return the parameters of a query; None if one is there twice, or they are too many."""
    try:
        pairs = parse_qsl(
            query or "",
            keep_blank_values=True,
            max_num_fields=_MOST,
            errors="strict",
        )
    except ValueError:
        return None
    found = dict(pairs)
    return found if len(found) == len(pairs) else None


def query_value(query: str | None, name: str) -> str | None:
    """Return the value of one parameter; None if it is absent or repeated."""
    if not query:
        return None
    found = [v for n, v in parse_qsl(query, keep_blank_values=True) if n == name]
    return found[0] if len(found) == 1 else None
