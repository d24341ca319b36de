"""Limits guessed passwords: an address with too many failed sign-ins gets a 429.

The gateway does not read passwords. It counts unauthenticated POST requests whose
response does not sign a user in.

| where | fails with |
| --- | --- |
| the path of `sign_in.url`, and `auth-redirect` routes, if the upstream signs in | any status below 500 without a sign-in |
| other routes of an upstream that signs in, and these routes of one that does not | 400, 401, 403, 422, 429, or a redirect to `sign_in.url` |

An upstream signs in by `may_sign_in`; if an application manages the sessions, by
setting its cookie.
"""

from collections.abc import Sequence
from typing import Final

from gateway.decision import AccessRequest
from gateway.proxy.response import UpstreamResponse
from gateway.reasons import Reason
from gateway.routes.model import Rule
from gateway.server.app_cookies import signs_in
from gateway.server.attempts import Kind
from gateway.server.context import RequestContext, SignInPost
from gateway.server.guessing import counted_source, refuse_beyond
from gateway.server.runtime import Application, GuessRules
from gateway.server.sign_in_headers import SessionInstruction, SignOut
from gateway.sessions.authenticate import Anonymous

_REFUSED: Final = frozenset((400, 401, 403, 422, 429))
_UNDECIDED: Final = frozenset((Reason.STORE_UNAVAILABLE, Reason.PREFLIGHT))


def begin_sign_in_post(
    context: RequestContext, application: Application, access: AccessRequest
) -> None:
    """Record that this POST may be a sign-in; count it in advance if that is certain.

    Counting before forwarding limits concurrent attempts, too. The charge is undone if
    the sign-in succeeds.

    Raises:
        TooManyAttempts: the address has no attempt left.
    """
    rules, found = context.runtime.guessing, access.authentication
    if rules is None or not isinstance(found, Anonymous):
        return
    if found.reason in _UNDECIDED:
        # The store was not queried, so the session may be valid.
        return
    head, services = context.head, context.services
    of_form = access.route.rule is Rule.AUTH_REDIRECT
    place = of_form or head.target.path == rules.sign_in_path
    if not (place or application.signs_in):
        return
    source = counted_source(rules, head.client)
    if source is None:
        return
    refuse_beyond(Kind.SIGN_IN, source, rules.sign_ins, services)
    certain = place and application.signs_in
    if certain:
        attempts = services.attempts[Kind.SIGN_IN]
        attempts.charge(source, rules.sign_ins, services.system.ticks())
    context.sign_in_post = SignInPost(source=source, charged=certain)


async def settle_sign_in_post(
    post: SignInPost,
    response: UpstreamResponse,
    instruction: SessionInstruction | None,
    context: RequestContext,
) -> None:
    """Count the POST if its response did not sign a user in; otherwise undo the charge."""
    rules, services = context.runtime.guessing, context.services
    if rules is None:
        return
    status, headers = response.status, response.headers
    failed = status < 500 and (
        post.charged or status in _REFUSED or _leads_back(headers, rules)
    )
    if failed and context.rules.external is None:
        failed = instruction is None or isinstance(instruction, SignOut)
    elif failed:
        failed = not await signs_in(headers, context)
    if not failed:
        give_back(post, context)
        return
    if not post.charged:
        attempts = services.attempts[Kind.SIGN_IN]
        attempts.charge(post.source, rules.sign_ins, services.system.ticks())
    post.charged = False
    services.report.attempt_failed(Kind.SIGN_IN)


def give_back(post: SignInPost, context: RequestContext) -> None:
    """Undo the charge: the sign-in succeeded, or there was no response."""
    rules = context.runtime.guessing
    if post.charged and rules is not None:
        post.charged = False
        attempts = context.services.attempts[Kind.SIGN_IN]
        attempts.give_back(post.source, rules.sign_ins)


def _leads_back(headers: Sequence[tuple[bytes, bytes]], rules: GuessRules) -> bool:
    """Return whether a response redirects to the sign-in page, as forms do on failure."""
    if rules.sign_in_path is None:
        return False
    for name, value in headers:
        if name.lower() == b"location":
            text = value.decode("latin-1").removeprefix(rules.public_origin)
            return text.partition("?")[0].partition("#")[0] == rules.sign_in_path
    return False
