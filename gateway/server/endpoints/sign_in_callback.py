"""`/.gateway/sign-in/{provider}/callback`: the provider's answer ends a sign-in."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.errors import StoreUnavailable
from gateway.http.navigation import is_navigation
from gateway.oidc.access_token import with_access_token
from gateway.oidc.attempt import Attempt, find_attempt
from gateway.oidc.authorization import Answer, read_answer
from gateway.oidc.failure import SignInFailed
from gateway.oidc.hint import LONGEST, seal_hint
from gateway.oidc.membership import FACTS, noted
from gateway.oidc.provider import Provider
from gateway.oidc.renewal import seal_renewal
from gateway.oidc.signed_in import SignedIn
from gateway.oidc.vault import NONCE_BYTES
from gateway.reasons import Reason, Verdict
from gateway.server.attempts import Kind
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse
from gateway.server.endpoints.sign_in import again_location, refuse_sign_in
from gateway.server.guessing import counted_source, refuse_beyond
from gateway.server.session_changes import sign_in
from gateway.server.sign_in_headers import SignIn
from gateway.sessions.cookie import SessionToken
from gateway.sessions.provider_link import read_link
from gateway.sessions.record import Session
from gateway.sessions.record_json import serialise
from gateway.sessions.store import KEPT_AFTER_END, SessionStore
from gateway.spine.step_up import route_to, still_missing


async def sign_in_callback(context: RequestContext) -> LocalResponse:
    """Verify the answer of a provider, start a session, and redirect to the page.

    Every failure is a page or a problem with a reason of its own, without a session:
    a 503 if it could not be stored. The attempt ends in any case, so that an answer is
    used once.

    Raises:
        TooManyAttempts: the address has too many failed sign-ins.
    """
    head, runtime = context.head, context.runtime
    name = head.target.path.split("/")[-2]
    provider = runtime.providers.get(name)
    store = context.services.gateway_managed
    if provider is None or store is None:
        context.ended_as(Verdict.REFUSE, Reason.NO_ROUTE)
        return LocalResponse(reply=context.rules.answers.no_route(head))
    try:
        answer, slot, attempt = _read(context, name)
    except SignInFailed as failure:
        return refuse_sign_in(context, provider, failure, "")
    ended = (runtime.attempts.clear(slot),)
    return_to = (
        context.rules.answers.sign_in.safe_return_to(attempt.return_to, context.head)
        or ""
    )
    location = return_to or context.rules.answers.sign_in.home
    try:
        who = await _finish(context, provider, attempt, answer)
        _check_page(context, attempt, who, location)
        cookies = await _start_session(context, provider, attempt, who, store)
    except SignInFailed as failure:
        return refuse_sign_in(
            context, provider, failure, return_to, ended, attempt.step
        )
    except StoreUnavailable as failure:
        # The code was used, so this address is worth nothing: another attempt is.
        context.services.report.request_failed(context, failure)
        context.ended_as(Verdict.ERROR, Reason.STORE_UNAVAILABLE)
        again = again_location(context, name, return_to, attempt.step)
        problem = context.rules.answers.problem(
            503, Reason.STORE_UNAVAILABLE, head, login_url=again
        )
        return LocalResponse(reply=problem, cookies=ended)
    cookies = (*cookies, *ended, runtime.attempts.note_sign_in())
    if context.rules.cookie.same_site == "strict":
        # The provider's site began this navigation, so a redirect would be sent
        # without the new cookie. A page of this site begins another one.
        variables = {"heading": "You are signed in", "location": location}
        reply = runtime.pages.page("continue.html", variables)
        return LocalResponse(reply=reply, cookies=cookies)
    return LocalResponse(
        reply=context.rules.answers.redirect(head, location), cookies=cookies
    )


def _read(context: RequestContext, name: str) -> tuple[Answer, int, Attempt]:
    """Return the answer, and the attempt that it belongs to, with its slot.

    Raises:
        SignInFailed: it is not an answer, or to no attempt of this browser.
    """
    head = context.head
    if head.method != "GET" or not is_navigation(head):
        raise SignInFailed(Reason.SIGN_IN_EXPIRED, "answer: not a page navigation")
    answer = read_answer(head.target.query)
    held = context.runtime.attempts.read(head.cookies)
    found = find_attempt(held, answer.state, name, context.now)
    if found is None:
        raise SignInFailed(
            Reason.SIGN_IN_EXPIRED, "answer: no attempt of this browser has its state"
        )
    return answer, *found


async def _finish(
    context: RequestContext, provider: Provider, attempt: Attempt, answer: Answer
) -> SignedIn:
    """Return who signed in; a failure counts as a failed attempt of the address.

    It is counted in advance, so that concurrent ones are limited too.
    """
    rules, services = context.runtime.guessing, context.services
    source = None if rules is None else counted_source(rules, context.head.client)
    if rules is None or source is None:
        return await provider.finish(attempt, answer, context.now)
    attempts = services.attempts[Kind.SIGN_IN]
    refuse_beyond(Kind.SIGN_IN, source, rules.sign_ins, services)
    attempts.charge(source, rules.sign_ins, services.system.ticks())
    try:
        who = await provider.finish(attempt, answer, services.system.now())
    except SignInFailed as failure:
        if failure.reason is Reason.PROVIDER_UNAVAILABLE:
            attempts.give_back(source, rules.sign_ins)
        else:
            services.report.attempt_failed(Kind.SIGN_IN)
        raise
    attempts.give_back(source, rules.sign_ins)
    return who


def _check_page(
    context: RequestContext, attempt: Attempt, who: SignedIn, location: str
) -> None:
    """Refuse a step-up that the page would not accept: it would ask again, in circles.

    Raises:
        SignInFailed: the level is too low, or the sign-in too long ago.
    """
    if attempt.step == "none":
        return
    missing = still_missing(
        route_to(context.rules, location, context.head.host),
        aal=who.aal,
        authenticated_at=who.authenticated_at,
        now=context.now,
    )
    if missing is not None:
        raise SignInFailed(Reason.STEP_UP_FAILED, f"step-up: {missing} at the page")


async def _start_session(
    context: RequestContext,
    provider: Provider,
    attempt: Attempt,
    who: SignedIn,
    store: SessionStore,
) -> tuple[str, ...]:
    person, link = who.person, read_link(who.provider)
    before = _keep_renewal(context, provider, who)

    async def confirm() -> None:
        """Refuse a session that the provider ended while it was being started."""
        if link is None:
            return
        for mark in await store.logouts.find_marks(link):
            if mark.means(link, attempt.began):
                raise SignInFailed(
                    Reason.SIGN_IN_EXPIRED, "the provider has ended this sign-in"
                )

    instruction = SignIn(
        identity=person.identity,
        tenants=person.tenants,
        active_tenant_id=None,
        methods=who.methods,
        aal=who.aal,
        persistent=True,
        authenticated_at=who.authenticated_at,
        extra={"provider": dict(who.provider)},
    )
    try:
        cookies = await sign_in(
            instruction,
            store,
            context,
            before,
            confirm,
            _keep_id_token(context, who, store),
        )
        return tuple(cookies)
    except ValueError as error:
        raise SignInFailed(Reason.CLAIM_MISSING, f"claims: {error}") from error


def _keep_id_token(
    context: RequestContext, who: SignedIn, store: SessionStore
) -> Callable[[SessionToken, Session], Awaitable[None]] | None:
    """Return what stores the ID token for a sign-out at the provider; None without."""
    if not 0 < len(who.id_token) <= LONGEST:
        return None

    async def keep(token: SessionToken, session: Session) -> None:
        nonce = context.services.system.secret(NONCE_BYTES)
        sealed = seal_hint(who.id_token, token.value, nonce)
        life = session.expires_at - context.now
        await store.logouts.keep_id_token(token.key, sealed, life)

    return keep


def _keep_renewal(
    context: RequestContext, provider: Provider, who: SignedIn
) -> Callable[[str, Session], Awaitable[Session]] | None:
    """Return what stores how the session is renewed; None if it is not.

    It is stored before the session: one that is to be renewed always can be. The
    session notes when that was, with the access token, if an upstream gets it.
    """
    vault, services = context.runtime.vault, context.services
    renewal, renewals = who.renewal, services.renewals
    settings = provider.settings
    if settings.refresh is not None and renewal is None:
        failure = SignInFailed(Reason.PROVIDER_BAD_ANSWER, "there is no refresh token")
        services.report.renewal_failed(settings.name, failure, ended=False)
    if vault is None or renewal is None or renewals is None:
        return None

    async def keep(key: str, session: Session) -> Session:
        nonce = services.system.secret(NONCE_BYTES)
        sealed = seal_renewal(renewal, vault, settings, key, nonce)
        life = session.expires_at - context.now + KEPT_AFTER_END
        await renewals.put(key, sealed, life)
        facts = noted(who.provider, context.now)
        if who.tokens is not None:
            nonce = services.system.secret(NONCE_BYTES)
            facts = with_access_token(
                facts, who.tokens, vault, settings, key, nonce, context.now
            )
        session = replace(session, extra={**session.extra, FACTS: facts})
        serialise(session)  # ValueError: larger than a record may be
        return session

    return keep
