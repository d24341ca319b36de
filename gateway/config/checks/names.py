"""Checks that every upstream, token profile and provider that is named exists.

They read the plain data, so that they also run on a file with other errors.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from gateway.config.document import Document, Loc, as_mapping
from gateway.config.wording import nearest


def check_names(document: Document) -> None:
    """Add every name that leads nowhere; looks at the data, faulty or not."""
    data = document.data
    upstreams = as_mapping(data.get("upstreams"))
    profiles = as_mapping(as_mapping(data.get("tokens")).get("profiles"))
    providers = as_mapping(as_mapping(data.get("sign_in")).get("providers"))
    if data.get("upstreams") is not None:  # else that is the mistake
        _check_upstreams(document, data.get("routes"), upstreams)
    for name, upstream in upstreams.items():
        loc: Loc = ("upstreams", name, "token")
        _check_name(document, upstream, loc, "token profile", profiles)
        token = as_mapping(upstream).get("token")
        _check_name(document, token, (*loc, "provider"), "provider", providers)
        for index, each in enumerate(token if isinstance(token, tuple) else ()):
            holder = {str(index): each}
            _check_name(document, holder, (*loc, index), "token profile", profiles)


def _check_upstreams(document: Document, routes: Any, known: Mapping[str, Any]) -> None:
    """Add each unknown name once, at the first route that has it."""
    first: dict[str, int] = {}
    more: Counter[str] = Counter()
    for at, route in enumerate(routes if isinstance(routes, tuple) else ()):
        name = as_mapping(route).get("upstream")
        if not isinstance(name, str) or name in known:
            continue
        if name in first:
            more[name] += 1
        else:
            first[name] = at
    for name, at in first.items():
        hints = [nearest(name, tuple(known))]
        if count := more[name]:
            hints.append(f"{count} more route{'s' * (count != 1)} name it")
        document.add_problem(
            document.where(("routes", at, "upstream")),
            f'there is no upstream "{name}"',
            "; ".join(filter(None, hints)),
        )


def _check_name(
    document: Document, holder: Any, loc: Loc, what: str, known: Mapping[str, Any]
) -> None:
    name = as_mapping(holder).get(str(loc[-1]))
    if isinstance(name, str) and name not in known:
        hint = nearest(name, tuple(known))
        document.add_problem(document.where(loc), f'there is no {what} "{name}"', hint)
