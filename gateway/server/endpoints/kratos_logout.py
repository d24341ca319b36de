"""Kratos' sign-out for browsers: first the address, then the sign-out itself."""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qsl, urlencode

from gateway.http.head import RequestHead
from gateway.pages.reply import no_body
from gateway.reasons import Reason
from gateway.server.endpoints.answered import OwnAnswer
from gateway.server.endpoints.kratos_reply import (
    RETURN_TO_FORBIDDEN,
    refused,
    told,
    wants_json,
)
from gateway.server.endpoints.kratos_session import Nobody, caller_of, not_signed_in
from gateway.server.exchange import Exchange
from gateway.server.serving import Serving
from gateway.server.session_changes import sign_out
from gateway.server.story import Story
from gateway.server.tools import Tools
from gateway.sessions.store import Held

SUBMIT: Final = "/.gateway/self-service/logout"
PREFIX: Final = "ory_lo_"
_LABEL: Final = b"gateway logout token v1"


def logout_token(token: Held) -> str:
    """Give the one logout token of a session.

    It follows from the secret in the cookie, which other sites cannot read, so
    nothing has to be kept, and it says nothing about that secret (RFC 2104).
    """
    tag = hmac.digest(token.value.encode("ascii"), _LABEL, sha256)
    return PREFIX + urlsafe_b64encode(tag).decode("ascii").rstrip("=")


async def create_logout_flow(
    _exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """Answer 200 with `logout_token` and `logout_url`; nothing ends yet.

    401 without a session; 400 for a `return_to` that leads elsewhere.

    Raises:
        StoreUnavailable: it is not known who asks.
    """
    caller = await caller_of(head, serving, story, tools)
    if isinstance(caller, Nobody):
        return not_signed_in(caller, head, serving, flow=True)
    wanted = _query(head).get("return_to")
    if wanted is not None and serving.replies.safe_return_to(wanted) is None:
        return _leads_elsewhere(head, serving, story)
    token = logout_token(caller.token)
    query = {"token": token} | ({} if wanted is None else {"return_to": wanted})
    url = f"{serving.policy.public_origin}{SUBMIT}?{urlencode(query)}"
    return OwnAnswer(reply=told({"logout_token": token, "logout_url": url}))


async def submit_logout(
    _exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """End the session that `token` belongs to, and clear our cookies.

    Answers 303 to `return_to`, else to `/`; 204 to who asks for JSON. 400 without
    a token, or for an address that is not allowed; 401 without a session; 403 for
    the token of another one, so that no link on another site signs anybody out.

    Raises:
        StoreUnavailable: it is not known whether the session ended.
    """
    query = _query(head)
    given = query.get("token", "")
    if not given:
        why = "Please include a token in the URL query."
        return _no(400, Reason.BAD_REQUEST, why, head, serving, story)
    caller = await caller_of(head, serving, story, tools)
    if isinstance(caller, Nobody):
        answer = not_signed_in(caller, head, serving, flow=True)
        if wants_json(head):
            return answer
        scheme = f'Session realm="{serving.replies.realm}"'
        page = serving.replies.problem(
            401, caller.reason, head, extra=(("WWW-Authenticate", scheme),)
        )
        return OwnAnswer(reply=page, cookies=answer.cookies)
    expected = logout_token(caller.token).encode()
    if not hmac.compare_digest(given.encode("utf-8", "replace"), expected):
        why = (
            "Unable to log out because the logout token in the URL query does not"
            " match the session cookie."
        )
        return _no(403, Reason.CROSS_SITE, why, head, serving, story)
    location = serving.replies.safe_return_to(query.get("return_to", "/"))
    if location is None:
        return _leads_elsewhere(head, serving, story)
    cookies = tuple(await sign_out("this", head, serving, story, tools))
    if wants_json(head):
        return OwnAnswer(reply=no_body(204), cookies=cookies)
    # 303 as Kratos; `redirect` would answer a GET with 302.
    return OwnAnswer(
        reply=serving.replies.pages.redirect(303, location), cookies=cookies
    )


def _leads_elsewhere(head: RequestHead, serving: Serving, story: Story) -> OwnAnswer:
    why = "Requested return_to URL is not allowed."
    return _no(
        *(400, Reason.BAD_RETURN_TO, why, head, serving, story),
        error_id=RETURN_TO_FORBIDDEN,
    )


def _no(
    status: int,
    reason: Reason,
    why: str,
    head: RequestHead,
    serving: Serving,
    story: Story,
    *,
    error_id: str | None = None,
) -> OwnAnswer:
    """Refuse with a page to who navigates, else as Kratos."""
    story.decision, story.reason = "deny" if status == 403 else "refuse", reason
    if wants_json(head):
        return OwnAnswer(reply=refused(status, why, head, error_id=error_id))
    return OwnAnswer(reply=serving.replies.problem(status, reason, head))


def _query(head: RequestHead) -> dict[str, str]:
    """Read the query; a parameter given twice is not given."""
    pairs = parse_qsl(head.target.query or "", keep_blank_values=True)
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1}
