"""`/.gateway/sign-in`: begins a sign-in with an OpenID Connect provider."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from gateway.decision import LEVELS, reaches
from gateway.http.navigation import is_navigation
from gateway.http.prefix import canonical_origin
from gateway.http.query import parse_query
from gateway.observe.audit_events import SignInRefused
from gateway.oidc.attempt import Step, new_attempt
from gateway.oidc.failure import SignInFailed
from gateway.oidc.provider import Provider
from gateway.reasons import ROWS, Action, Reason, Verdict
from gateway.server.caller import caller_of
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse
from gateway.sessions.authenticate import Authenticated
from gateway.spine.step_up import level_needed, route_to

SIGN_IN: Final = "/.gateway/sign-in"
_STEPS: Final[Mapping[str, Step]] = {
    Reason.STEP_UP.value: "fresh",
    Reason.AAL_TOO_LOW.value: "aal",
}
_AGAIN: Final[Mapping[Step, Reason | None]] = {
    "none": None,
    "fresh": Reason.STEP_UP,
    "aal": Reason.AAL_TOO_LOW,
}
"""The reason in an address that begins the same step again."""
_EXPLAINED: Final = {
    reason.value: row.sentence for reason, row in ROWS.items() if row.status == 401
}
"""The sentences that the page shows for the reason in its address."""


async def sign_in_page(context: RequestContext) -> LocalResponse:
    """Redirect to the only provider, or return a page with a link for each.

    A signed-in user is redirected to `return_to`, unless a step-up is due. Without a
    page navigation the response is a 401, and no sign-in begins.

    Raises:
        StoreUnavailable: whether the user is signed in is unknown.
    """
    providers, head = context.runtime.providers, context.head
    if not providers:
        return no_provider(context)
    if not is_navigation(head):
        return _unauthenticated(context)
    if (elsewhere := _public_page(context)) is not None:
        return elsewhere
    query = parse_query(head.target.query) or {}
    reason = query.get("reason", "")
    found = await caller_of(context)
    signed_in = isinstance(found, Authenticated)
    answers = context.rules.answers
    after = answers.sign_in.after_sign_in(head)
    if signed_in and reason not in _STEPS and _keeps_session(context, after):
        return LocalResponse(reply=answers.redirect(head, after))
    # A browser that does not keep the session cookie, or a page that does not get it,
    # would redirect in circles.
    circling = context.runtime.attempts.signed_in_recently(head.cookies)
    circling = (not signed_in and circling) or not _keeps_session(context, after)
    if circling:
        context.ended_as(Verdict.REFUSE, Reason.SIGN_IN_NOT_KEPT)
    elif len(providers) == 1 and head.method == "GET":
        (provider,) = providers.values()
        return await begin_with(context, provider, query)
    return _choice(context, query, circling=circling)


async def begin_sign_in(context: RequestContext) -> LocalResponse:
    """Redirect to the provider in the path; 404 for an unknown one.

    `another=1` asks the provider for another account: a provider that can sign users
    out does that first, since some ignore `prompt=select_account`.
    """
    name = context.head.target.path.rpartition("/")[2]
    provider = context.runtime.providers.get(name)
    if provider is None:
        return no_provider(context)
    if not is_navigation(context.head) or context.head.method != "GET":
        return _unauthenticated(context)
    if (elsewhere := _public_page(context)) is not None:
        return elsewhere
    query = parse_query(context.head.target.query) or {}
    if "another" in query and (away := await provider.sign_out_url()) is not None:
        reply = context.rules.answers.redirect(context.head, away)
        return LocalResponse(reply=reply)
    return await begin_with(context, provider, query)


def refuse_sign_in(
    context: RequestContext,
    provider: Provider,
    failure: SignInFailed,
    return_to: str,
    cookies: tuple[str, ...] = (),
    step: Step = "none",
) -> LocalResponse:
    """Return the page of a sign-in that failed; log and audit it.

    Its link begins the sign-in again, with the same step.

    The page never redirects, so that a failure cannot become a loop, and quotes nothing
    of the provider's error.
    """
    reason, settings = failure.reason, provider.settings
    row = ROWS[reason]
    context.ended_as(_VERDICTS.get(row.status, Verdict.ERROR), reason)
    context.services.report.request_failed(context, failure)
    context.audit(
        SignInRefused(provider=settings.name, reason=reason, account=failure.account)
    )
    detail = None
    if failure.account and row.action is Action.HOME:
        detail = f"{row.sentence} You are signed in at {settings.title} as "
        detail += f"{failure.account}."
    login = sign_in_location(
        context,
        settings.name,
        return_to,
        another=row.action is Action.HOME,
        reason=_AGAIN[step],
    )
    reply = context.rules.answers.problem(
        row.status, reason, context.head, login_url=login, detail=detail
    )
    return LocalResponse(reply=reply, cookies=cookies)


def again_location(
    context: RequestContext, name: str, return_to: str, step: Step
) -> str:
    """Return the address that begins an attempt with the same step again."""
    return sign_in_location(context, name, return_to, reason=_AGAIN[step])


def sign_in_location(
    context: RequestContext,
    name: str,
    return_to: str,
    *,
    another: bool = False,
    reason: Reason | None = None,
) -> str:
    """Return the address that begins a sign-in with a provider."""
    parts = []
    if return_to:
        parameter = context.rules.answers.sign_in.return_to
        parts.append(f"{quote(parameter)}={quote(return_to, safe='/')}")
    if another:
        parts.append("another=1")
    if reason is not None:
        parts.append(f"reason={reason.value}")
    return f"{SIGN_IN}/{name}" + ("?" + "&".join(parts) if parts else "")


async def begin_with(
    context: RequestContext,
    provider: Provider,
    query: Mapping[str, str],
    *,
    login_hint: str = "",
) -> LocalResponse:
    """Redirect to a provider, with a new attempt for the parameters of a request."""
    services, head = context.services, context.head
    return_to = _return_to(context, query)
    attempt = new_attempt(
        provider.settings.name,
        services.system.secret(32),
        context.now,
        step=_STEPS.get(query.get("reason", ""), "none"),
        return_to=return_to,
    )
    route = route_to(context.rules, return_to or _home(context), head.host)
    wanted = level_needed(route)
    levels = [level for level in LEVELS if reaches(level, wanted)]
    try:
        location = await provider.begin(
            attempt,
            choose_account="another" in query,
            levels=levels,
            login_hint=login_hint,
        )
    except SignInFailed as failure:
        return refuse_sign_in(context, provider, failure, return_to, step=attempt.step)
    cookies = context.runtime.attempts
    draw = int.from_bytes(services.system.secret(2), "big")
    return LocalResponse(
        reply=context.rules.answers.redirect(head, location),
        cookies=cookies.begin(attempt, cookies.read(head.cookies), draw),
    )


def _choice(
    context: RequestContext, query: Mapping[str, str], *, circling: bool
) -> LocalResponse:
    return_to = _return_to(context, query)
    reason = query.get("reason", "")
    step = Reason(reason) if reason in _STEPS else None
    why = _EXPLAINED.get(reason, "")
    if circling:
        why = ROWS[Reason.SIGN_IN_NOT_KEPT].sentence
    providers = [
        {
            "title": provider.settings.title,
            "url": sign_in_location(context, name, return_to, reason=step),
        }
        for name, provider in context.runtime.providers.items()
    ]
    variables = {"providers": providers, "why": why, "request_id": context.request_id}
    return LocalResponse(reply=context.runtime.pages.page("sign_in.html", variables))


def at_public_host(context: RequestContext) -> bool:
    """Return whether a request is for `public_url`."""
    head, public = context.head, context.rules.answers.sign_in.public_origin
    if canonical_origin(head.scheme, head.authority) == public:
        return True
    # Or behind a proxy that reports no scheme or port.
    return head.host == urlsplit(public).hostname


def _public_page(context: RequestContext) -> LocalResponse | None:
    """Return a redirect to the same page of `public_url`; None if the request is for it.

    The provider returns to `public_url`, and the cookie of the attempt has to be there.
    """
    head, answers = context.head, context.rules.answers
    public = answers.sign_in.public_origin
    if at_public_host(context):
        return None
    query = parse_query(head.target.query) or {}
    name = answers.sign_in.return_to
    wanted = answers.sign_in.safe_return_to(query.get(name, answers.sign_in.home), head)
    if wanted is not None and wanted.startswith("/"):
        wanted = f"{head.scheme}://{head.authority}{wanted}"
    kept = {n: v for n, v in query.items() if n in {"reason", "another"}}
    if wanted is not None:
        kept[name] = wanted
    location = f"{public}{head.target.path}?{urlencode(kept)}"
    return LocalResponse(reply=answers.redirect(head, location))


def _keeps_session(context: RequestContext, location: str) -> bool:
    """Return whether the session cookie that is set here is sent to an address."""
    host = urlsplit(location).hostname
    domain = context.rules.cookie.domain
    return (
        host is None
        or host == context.head.host
        or (domain is not None and f".{host}".endswith(f".{domain}"))
    )


def _return_to(context: RequestContext, query: Mapping[str, str]) -> str:
    """Return the validated address to return to; "" if there is none."""
    answers = context.rules.answers
    wanted = query.get(answers.sign_in.return_to)
    return (answers.sign_in.safe_return_to(wanted) if wanted else None) or ""


def _home(context: RequestContext) -> str:
    return context.rules.answers.sign_in.home


def no_provider(context: RequestContext) -> LocalResponse:
    """Return a 404."""
    context.ended_as(Verdict.REFUSE, Reason.NO_ROUTE)
    return LocalResponse(reply=context.rules.answers.no_route(context.head))


def _unauthenticated(context: RequestContext) -> LocalResponse:
    context.ended_as(Verdict.CHALLENGE, Reason.NO_SESSION)
    answers = context.rules.answers
    return LocalResponse(reply=answers.unauthenticated(Reason.NO_SESSION, context.head))


_VERDICTS: Final = {400: Verdict.REFUSE, 403: Verdict.DENY}
