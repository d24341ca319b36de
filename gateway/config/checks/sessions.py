"""Checks of sessions: the cookie, lifetimes, and keys that a format does not have."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from gateway.config.document import Loc, as_mapping
from gateway.config.partial import PartialConfig


def check_cookie(partial: PartialConfig) -> None:
    """Check the name, domain and attributes of the session cookie."""
    cookie = partial.config.sessions.cookie
    secure = partial.config.cookie_is_secure
    loc: Loc = ("sessions", "cookie")
    host = urlsplit(partial.config.server.public_url).hostname or ""
    if cookie.same_site == "none" and not secure:
        partial.add_problem(
            (*loc, "same_site"),
            "same_site: none requires a secure cookie",
            "set secure: true, or an https public_url",
        )
    ours = not partial.config.sessions.external
    if ours and cookie.name.startswith(("__Host-", "__Secure-")) and not secure:
        partial.add_problem(
            (*loc, "name"),
            "a name with the prefix __Host- or __Secure- requires a secure cookie",
        )
    if cookie.name.startswith("__Host-") and cookie.domain:
        partial.add_problem((*loc, "domain"), "a __Host- cookie must not have a domain")
    if cookie.domain and not f".{host}".endswith(f".{cookie.domain}"):
        partial.add_problem(
            (*loc, "domain"),
            f"browsers reject this domain: {host} of public_url is not below it",
        )


def check_lifetimes(partial: PartialConfig) -> None:
    """Check that the shorter lifetimes are shorter than the lifespan."""
    sessions = partial.config.sessions
    for key in ("extend_within", "idle_timeout"):
        value = getattr(sessions, key)
        if value is not None and value >= sessions.lifespan:
            partial.add_problem(
                ("sessions", key), f"{key} must be shorter than lifespan"
            )


def check_owner(partial: PartialConfig) -> None:
    """Check for keys that have no effect with this session format."""
    written = as_mapping(partial.document.data.get("sessions"))
    name = partial.config.sessions.format
    if written.get("format", "gateway") != name:
        return  # reported already
    for loc, why in (_APP_KEYS if name == "gateway" else _GATEWAY_KEYS).items():
        holder = written if len(loc) == 1 else as_mapping(written.get(loc[0]))
        if holder.get(loc[-1]) is not None:
            partial.add_problem_at_key(
                ("sessions", *loc), f"{loc[-1]} has no effect with format: {name}", why
            )
    if name == "gateway":
        return
    for upstream, each in partial.config.upstreams.items():
        if each.may_sign_in:
            partial.add_problem(
                ("upstreams", upstream, "may_sign_in"),
                f"with format: {name} the app signs users in",
                "remove the key; the gateway reads the app's sessions",
            )


# The keys that do not apply to one owner's sessions, and why.
_BY_APP: Final = "it is for sessions that an app writes"


_APP_KEYS: Final[Mapping[tuple[str, ...], str]] = {
    ("secrets",): _BY_APP,
    ("key_prefix",): _BY_APP,
    ("profile",): _BY_APP,
    ("allow_pickle",): _BY_APP,
    ("remember_ended",): _BY_APP,
    ("cookie", "value"): _BY_APP,
}


_APP_DECIDES: Final = "the app decides how long its sessions live"


_GATEWAY_KEYS: Final[Mapping[tuple[str, ...], str]] = {
    ("lifespan",): _APP_DECIDES,
    ("idle_timeout",): _APP_DECIDES,
    ("extend_within",): _APP_DECIDES,
    ("max_per_identity",): "the app decides how many sessions an identity may have",
    ("cookie", "persistent"): "the app sets its cookie",
}
