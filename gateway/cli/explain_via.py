"""What a front proxy is sent, for `gateway explain --via`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, assert_never

from gateway.authz.mode import Mode
from gateway.authz.replies import allow_reply, deny_reply
from gateway.cli.explain_lines import line
from gateway.http.head import RequestHead
from gateway.pages.pages import Pages
from gateway.pages.reply import Reply
from gateway.spine.answers import Answers
from gateway.spine.outcome import Forward, Local, Outcome, Respond

PROXIES: Final[Mapping[str, Mode]] = {
    "nginx": Mode.AUTH_REQUEST,
    "traefik": Mode.FORWARD_AUTH,
    "caddy": Mode.FORWARD_AUTH,
    "haproxy": Mode.FORWARD_AUTH,
    "envoy": Mode.EXT_AUTHZ,
}
"""The front proxies of deploy/, and the endpoint of each."""
REQUEST_ID: Final = "0123456789abcdef0123456789abcdef"
"""Stands for the random ID of a request."""


def via_lines(
    proxy: str, outcome: Outcome, head: RequestHead, answers: Answers, pages: Pages
) -> Iterator[str]:
    """Yield the response of the authz listener to a check about this request.

    Args:
        proxy: a key of PROXIES.
        outcome: what was decided.
        head: the request.
        answers: of the rules.
        pages: render the answers.
    """
    mode = PROXIES[proxy]
    reply = _reply(mode, outcome, head, answers, pages)
    yield line("via", f"{proxy}: /authz/{mode} responds {reply.status}")
    for name, text in reply.headers:
        yield f"  {name}: {text}".rstrip()
    cookies = () if isinstance(outcome, Local) else _cookies(outcome)
    for cookie in cookies:
        yield f"  Set-Cookie: {cookie.partition('=')[0]}=…"


def _reply(
    mode: Mode, outcome: Outcome, head: RequestHead, answers: Answers, pages: Pages
) -> Reply:
    match outcome:
        case Forward():
            return allow_reply(mode, outcome)
        case Respond(answer=answer):
            return deny_reply(mode, answer, head, pages, REQUEST_ID)
        case Local():
            answer = answers.no_route(head)
            return deny_reply(mode, answer, head, pages, REQUEST_ID)
        case _ as never:
            assert_never(never)


def _cookies(outcome: Forward | Respond) -> Sequence[str]:
    return outcome.set_cookies if isinstance(outcome, Forward) else outcome.cookies
