"""Guessed passwords: an address with too many failed sign-ins gets a 429.

The gateway does not read passwords. It sees that a POST of somebody who is not
signed in was answered, and that the answer signed nobody in.

| where | fails with |
| --- | --- |
| the path of `sign_in.url`, and `auth-redirect` routes, if the upstream signs in | any answer below 500 without a sign-in |
| other routes of an upstream that signs in, and these routes of one that does not | 400, 401, 403, 422, 429, or a redirect to `sign_in.url` |

An upstream signs in by `may_sign_in`, or where an app keeps the sessions, by setting
its cookie.
"""

from collections.abc import Sequence
from typing import Final

from gateway.http.head import RequestHead
from gateway.proxy.response import UpstreamResponse
from gateway.reasons import Reason
from gateway.routes.model import Route, Rule
from gateway.server.app_answers import signs_in
from gateway.server.attempts import Kind
from gateway.server.guessing import counted_source, refuse_beyond
from gateway.server.hand_off import HandOff, SignOut
from gateway.server.serving import Application, GuessRules, Serving
from gateway.server.story import SignInPost, Story
from gateway.server.tools import Tools
from gateway.sessions.authenticate import Anonymous, Authentication

_REFUSED: Final = frozenset((400, 401, 403, 422, 429))
_UNDECIDED: Final = frozenset((Reason.STORE_UNAVAILABLE, Reason.PREFLIGHT))


def begin_sign_in_post(
    route: Route,
    application: Application,
    found: Authentication,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> None:
    """Note in the story that this POST may be a sign-in; count it where it must be.

    It is counted before it is forwarded, and given back if it succeeds: otherwise
    many at the same time would be as good as no limit.

    Raises:
        TooManyAttempts: the address has no attempt left.
    """
    rules = serving.guessing
    if rules is None or not isinstance(found, Anonymous):
        return
    if found.reason in _UNDECIDED:
        # The store was not asked: this may be somebody with a valid session.
        return
    place = head.target.path == rules.sign_in_path or route.rule is Rule.AUTH_REDIRECT
    if not (place or application.signs_in):
        return
    source = counted_source(rules, head.client)
    if source is None:
        return
    refuse_beyond(Kind.SIGN_IN, source, rules.sign_ins, tools)
    certain = place and application.signs_in
    if certain:
        attempts = tools.attempts[Kind.SIGN_IN]
        attempts.charge(source, rules.sign_ins, tools.edge.ticks())
    story.sign_in_post = SignInPost(source=source, charged=certain)


async def settle_sign_in_post(
    post: SignInPost,
    response: UpstreamResponse,
    hand_off: HandOff | None,
    head: RequestHead,
    serving: Serving,
    tools: Tools,
) -> None:
    """Count the POST if its answer signed nobody in; give it back otherwise."""
    rules = serving.guessing
    if rules is None:
        return
    status, headers = response.status, response.headers
    failed = status < 500 and (
        post.charged or status in _REFUSED or _leads_back(headers, rules)
    )
    if failed and serving.foreign is None:
        failed = hand_off is None or isinstance(hand_off, SignOut)
    elif failed:
        failed = not await signs_in(headers, head, serving, tools)
    if not failed:
        give_back(post, serving, tools)
        return
    if not post.charged:
        attempts = tools.attempts[Kind.SIGN_IN]
        attempts.charge(post.source, rules.sign_ins, tools.edge.ticks())
    post.charged = False
    tools.report.attempt_failed(Kind.SIGN_IN)


def give_back(post: SignInPost, serving: Serving, tools: Tools) -> None:
    """Take back what was counted: it succeeded, or it was never answered."""
    if post.charged and serving.guessing is not None:
        post.charged = False
        tools.attempts[Kind.SIGN_IN].give_back(post.source, serving.guessing.sign_ins)


def _leads_back(headers: Sequence[tuple[bytes, bytes]], rules: GuessRules) -> bool:
    """Return whether an answer redirects to the sign-in page, as forms do."""
    if rules.sign_in_path is None:
        return False
    for name, value in headers:
        if name.lower() == b"location":
            text = value.decode("latin-1").removeprefix(rules.public_origin)
            return text.partition("?")[0].partition("#")[0] == rules.sign_in_path
    return False
