"""Checks of token profiles: where tokens are sent, and which the browser gets."""

from typing import Final

from gateway.config.document import Loc
from gateway.config.partial import PartialConfig
from gateway.config.sections.tokens import Profile

BROWSER_LONGEST: Final = 15 * 60
"""Seconds. A token in a page is readable for its scripts, and cannot be revoked."""


def check_tokens(partial: PartialConfig) -> None:
    """Add every contradiction among token profiles and upstreams."""
    _profiles(partial)
    _upstream_tokens(partial)
    for name, profile in partial.config.tokens.profiles.items():
        if profile.browser:
            _browser(partial, name, profile)


def _profiles(partial: PartialConfig) -> None:
    name = partial.config.sessions.cookie.name
    taken = {name: "the session", f"__Host-{name}": "the session"}
    mappings = [partial.config.identity_headers]
    mappings += (
        each.identity_headers
        for each in partial.config.upstreams.values()
        if each.identity_headers is not None
    )
    ours = {
        _folded(one)
        for headers in mappings
        if not isinstance(headers, str)
        for one in headers
    }
    for name, profile in partial.config.tokens.profiles.items():
        loc: Loc = ("tokens", "profiles", name)
        if not (profile.header or profile.cookie or profile.browser):
            partial.add_problem_at_key(
                loc,
                f'the token profile "{name}" has no header or cookie',
                "set header or cookie, or browser: true",
            )
        if profile.header is not None and _folded(profile.header) in ours:
            partial.add_problem(
                (*loc, "header"),
                f'the header "{profile.header}" is already one of identity_headers',
            )
        if profile.cookie is None:
            continue
        if profile.cookie in taken:
            partial.add_problem(
                (*loc, "cookie"),
                f'the cookie "{profile.cookie}" belongs to {taken[profile.cookie]}',
            )
        taken.setdefault(profile.cookie, f'the token profile "{name}"')


def _upstream_tokens(partial: PartialConfig) -> None:
    """Report profiles of one upstream that would overwrite each other."""
    profiles = partial.config.tokens.profiles
    for name, upstream in partial.config.upstreams.items():
        headers: dict[str, str] = {}
        for index, each in enumerate(upstream.profiles):
            loc: Loc = ("upstreams", name, "token", index)
            profile = profiles.get(each)
            if each in upstream.profiles[:index]:
                partial.add_problem(loc, f'the token profile "{each}" is listed twice')
            elif profile is not None and profile.header is not None:
                first = headers.setdefault(_folded(profile.header), each)
                if first != each:
                    partial.add_problem(
                        loc,
                        f'the token profiles "{first}" and "{each}" have the same header',
                    )


def _browser(partial: PartialConfig, name: str, profile: Profile) -> None:
    """Report what would let a page impersonate the gateway, or keep access for long."""
    config = partial.config
    loc: Loc = ("tokens", "profiles", name)
    for key in ("header", "cookie"):
        if getattr(profile, key) is not None:
            partial.add_problem_at_key(
                (*loc, key),
                f"{key} is for tokens of upstreams, and a page gets this one",
                "use another profile for the upstream",
            )
    for where, upstream in config.upstreams.items():
        if name in upstream.profiles:
            partial.add_problem(
                (*loc, "browser"),
                f'the upstream "{where}" trusts tokens of this profile',
                "use another profile, with another audience, for the browser",
            )
    for other, each in config.tokens.profiles.items():
        shared = sorted(set(profile.audience) & set(each.audience))
        if shared and not each.browser:
            partial.add_problem(
                (*loc, "audience"),
                f'the audience "{shared[0]}" is also that of the token profile "{other}"',
                "a token for the browser requires an audience of its own",
            )
    if (profile.lifetime or config.tokens.lifetime) > BROWSER_LONGEST:
        key = "lifetime" if profile.lifetime else "browser"
        partial.add_problem(
            (*loc, key), "a token for the browser lives for at most 15m"
        )


def _folded(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
