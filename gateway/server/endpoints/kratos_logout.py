"""Kratos' logout flow for browsers: create the flow, then submit it."""

import hmac
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qsl, urlencode

from gateway.http import base64url
from gateway.http.challenge import session_challenge
from gateway.http.head import RequestHead
from gateway.pages.reply import no_body
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.endpoints.kratos_reply import (
    RETURN_TO_FORBIDDEN,
    json_response,
    refused,
    wants_json,
)
from gateway.server.endpoints.kratos_session import NoSession, caller_of, not_signed_in
from gateway.server.endpoints.local_response import LocalResponse
from gateway.server.session_changes import sign_out
from gateway.sessions.store import SessionCredential
from gateway.spine.answers import Redirect

SUBMIT: Final = "/.gateway/self-service/logout"
PREFIX: Final = "ory_lo_"
_LABEL: Final = b"gateway logout token v1"


def logout_token(token: SessionCredential) -> str:
    """Return the logout token of a session.

    It is an HMAC (RFC 2104) keyed with the session token, which other sites cannot
    read. It needs no state and does not disclose the session token.
    """
    tag = hmac.digest(token.value.encode("ascii"), _LABEL, sha256)
    return PREFIX + base64url.encode(tag)


async def create_logout_flow(context: RequestContext) -> LocalResponse:
    """Return 200 with `logout_token` and `logout_url`; no session ends yet.

    401 without a session; 400 for a `return_to` that is not allowed.

    Raises:
        StoreUnavailable: the session could not be queried.
    """
    caller = await caller_of(context)
    if isinstance(caller, NoSession):
        return not_signed_in(caller, context, flow=True)
    wanted = _query(context.head).get("return_to")
    if (
        wanted is not None
        and context.rules.answers.sign_in.safe_return_to(wanted, context.head) is None
    ):
        return _leads_elsewhere(context)
    token = logout_token(caller.token)
    query = {"token": token} | ({} if wanted is None else {"return_to": wanted})
    url = f"{context.rules.policy.public_origin}{SUBMIT}?{urlencode(query)}"
    return LocalResponse(
        reply=json_response({"logout_token": token, "logout_url": url})
    )


async def submit_logout(context: RequestContext) -> LocalResponse:
    """End the session of `token`, and clear the gateway's cookies.

    Returns 303 to `return_to`, else to `/`; 204 if JSON is requested; 400 without a
    token, or for an address that is not allowed; 401 without a session; 403 for the
    token of another session, so that a link on another site cannot sign a user out.

    Raises:
        StoreUnavailable: it is unknown whether the session ended.
    """
    query = _query(context.head)
    given = query.get("token", "")
    if not given:
        why = "Please include a token in the URL query."
        return _no(400, Reason.BAD_REQUEST, why, context)
    caller = await caller_of(context)
    if isinstance(caller, NoSession):
        answer = not_signed_in(caller, context, flow=True)
        if wants_json(context.head):
            return answer
        answers = context.rules.answers
        challenge = session_challenge(answers.realm)
        page = answers.problem(401, caller.reason, context.head, headers=(challenge,))
        return LocalResponse(reply=page, cookies=answer.cookies)
    expected = logout_token(caller.token).encode()
    if not hmac.compare_digest(given.encode("utf-8", "replace"), expected):
        why = (
            "Unable to log out because the logout token in the URL query does not"
            " match the session cookie."
        )
        return _no(403, Reason.CROSS_SITE, why, context)
    location = context.rules.answers.sign_in.safe_return_to(
        query.get("return_to", "/"), context.head
    )
    if location is None:
        return _leads_elsewhere(context)
    cookies = tuple(await sign_out("this", context))
    if wants_json(context.head):
        return LocalResponse(reply=no_body(204), cookies=cookies)
    # 303 as in Kratos; `redirect` would use 302 for a GET.
    return LocalResponse(reply=Redirect(status=303, location=location), cookies=cookies)


def _leads_elsewhere(context: RequestContext) -> LocalResponse:
    why = "Requested return_to URL is not allowed."
    return _no(
        *(400, Reason.BAD_RETURN_TO, why, context),
        error_id=RETURN_TO_FORBIDDEN,
    )


def _no(
    status: int,
    reason: Reason,
    why: str,
    context: RequestContext,
    *,
    error_id: str | None = None,
) -> LocalResponse:
    """Return an error as a page for browsers, else in the format of Kratos."""
    context.verdict = Verdict.DENY if status == 403 else Verdict.REFUSE
    context.reason = reason
    if wants_json(context.head):
        return LocalResponse(
            reply=refused(status, why, context.request_id, error_id=error_id)
        )
    return LocalResponse(
        reply=context.rules.answers.problem(status, reason, context.head)
    )


def _query(head: RequestHead) -> dict[str, str]:
    """Return the query parameters; repeated ones are ignored."""
    pairs = parse_qsl(head.target.query or "", keep_blank_values=True)
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1}
