"""Query parameters of which none is ambiguous."""

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
