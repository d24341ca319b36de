"""The I/O around the spine: read, look up, perform the outcome, report.

`Pipeline` decides nothing. The spine returns an outcome; each kind of outcome has one
function here that performs it. Each function is a step (steps.py): what arrives later, a
record or a response, calls the next one. Before the first byte of a response a failure
is a response; after it a failure is an abort.
"""

from functools import partial
from typing import assert_never

from gateway.errors import ClientLimit, StoreUnavailable
from gateway.http.authorization import CredentialKind
from gateway.http.head import BadRequest, RequestHead
from gateway.http.lines import HeadKey
from gateway.reasons import Reason, Verdict
from gateway.server.caller import look_up_provider_token, note_end
from gateway.server.context import RequestContext, Services
from gateway.server.endpoints import answer_locally
from gateway.server.exchange import Progress
from gateway.server.forward import forward
from gateway.server.guessing import count_failed_session, refuse_unverified
from gateway.server.read_request import read_request, reads_html
from gateway.server.request_errors import failure_reason, settle
from gateway.server.runtime import KnownHeads, Runtime, kept_bytes
from gateway.server.sending import send_local
from gateway.server.shares import share_key
from gateway.server.steps import RequestHandler, completed, hand_over, proceed
from gateway.sessions.access_token import AccessToken
from gateway.sessions.authenticate import Anonymous, Authenticated
from gateway.sessions.provider_token import ProviderToken, Rejected
from gateway.sessions.store import OF_PROGRAMS, Found, SessionCredential
from gateway.spine.conclude import refuse
from gateway.spine.evaluate import Unavailable, after_lookup, before_lookup, repeats
from gateway.spine.outcome import Forward, Local, Lookup, Outcome, Respond


class Pipeline(RequestHandler):
    """Handles the requests that are forwarded; `runtime` is replaced by a reload."""

    def __init__(self, *, runtime: Runtime, services: Services) -> None:
        super().__init__(services, _read)
        self.runtime = runtime

    def perform(self, context: RequestContext, outcome: Outcome) -> Progress:
        """See Handler."""
        match outcome:
            case Forward():
                return forward(context, outcome)
            case Respond():
                return _respond(context, outcome)
            case Local():
                return _answer(context, outcome)
            case _ as never:
                assert_never(never)

    def settle(self, context: RequestContext, error: Exception) -> Progress:
        """See Handler."""
        return settle(context, error)


def _read(context: RequestContext, span_id: str, _: None) -> Progress:
    """Find the head: that of most requests was received before; else read it."""
    heads, key = context.runtime.known_heads, context.exchange.key
    known = None if key is None else heads.get(key) or heads.find(key)
    if known is not None:
        return evaluate_again(context, known, span_id)
    head = read_request(context)
    if isinstance(head, BadRequest):
        html = reads_html(context.exchange.message)
        return _respond(context, refuse(head, context.runtime.rules, html=html))
    context.received(head, span_id)
    context.exchange.forget_message()
    return evaluate(context, head, keep_in=heads, key=key)


def evaluate_again(
    context: RequestContext,
    known: RequestHead | Lookup | Forward,
    span_id: str,
    forwards: bool = True,
) -> Progress:
    """Evaluate a request by what `evaluate` has kept; raises as it does."""
    if isinstance(known, Lookup):
        context.received(known.head, span_id)
        return _look_up(context, known)
    if isinstance(known, Forward):
        context.received(known.access.head, span_id)
        return context.handler.perform(context, known)
    context.received(known, span_id)
    return evaluate(context, known, forwards=forwards)


def evaluate(
    context: RequestContext,
    head: RequestHead,
    *,
    forwards: bool = True,
    keep_in: KnownHeads | None = None,
    key: HeadKey | None = None,
) -> Progress:
    """Evaluate a request, with its session if that decides; count a failed one.

    The outcome goes to the handler of the context. `forwards` False: another proxy
    forwards what is allowed. With a `key`, what was found without the clock is kept.

    Raises:
        TooManyAttempts: the session is unknown, and its address has sent too many.
        ClientLimit: the client has too many queries waiting.
    """
    rules = context.runtime.rules
    step = before_lookup(head, rules, now=context.now, forwards=forwards)
    if keep_in is not None and key is not None:
        known = step if repeats(step, rules) else head
        keep_in.keep(key, known, kept_bytes(key, head))
    if isinstance(step, Lookup):
        return _look_up(context, step)
    if not isinstance(step, Local) and step.access is not None:
        who = step.access.authentication
        if isinstance(who, Anonymous):
            context.credential = who.sent or ""
            count_failed_session(who, None, context)
    return context.handler.perform(context, step)


def _look_up(context: RequestContext, lookup: Lookup, _: None = None) -> Progress:
    if lookup.route.takes_tokens and isinstance(lookup.credential, ProviderToken):
        refuse_unverified(lookup.credential, context)
        return _verify(context, lookup, lookup.credential)
    services, client = context.services, share_key(lookup.head.client)
    if client:
        if not services.lookups.take(client):
            raise ClientLimit("the client has too many look-ups waiting")
        context.lookup_client = client
    held = lookup.credential
    context.route = lookup.route
    if lookup.route.takes_tokens:
        context.credential = _kind_of(held)
    # As Services.store_of, without a call for every request.
    store = services.tokens if isinstance(held, AccessToken) else services.store
    context.began = services.system.ticks()
    store.begin(held, context.now, partial(proceed, context, _found, lookup))
    return None


async def _verify(context: RequestContext, lookup: Lookup, held: ProviderToken) -> None:
    """Look up an access token of a provider, and go on as with a record."""
    context.route, context.credential = lookup.route, held.kind
    context.began = context.services.system.ticks()
    found: Found | Rejected | StoreUnavailable
    try:
        found = await look_up_provider_token(held, context)
    except StoreUnavailable as error:
        found = error
    hand_over(context, _found, lookup, found)


def _found(
    context: RequestContext,
    lookup: Lookup,
    found: Found | Rejected | StoreUnavailable,
) -> Progress:
    """Evaluate the rest of a request, with what the store holds; go on with the outcome."""
    services, client, now = context.services, context.lookup_client, context.now
    context.lookup_time = services.system.ticks() - context.began
    context.began = 0.0
    if client:
        context.lookup_client = ""
        services.lookups.give_back(client)
    if isinstance(found, StoreUnavailable):
        return _without_record(context, lookup, found)
    if services.ended.seen:
        now = services.ended.at_least(lookup.credential.key, now)
    clock, before = services.system.clock, lookup.known
    step = after_lookup(
        lookup,
        found,
        context.runtime.rules,
        now,
        context.nonce,
        clock.before is not None and clock.doubted(),
    )
    if isinstance(step, Forward) and step.planned_by is not None:
        context.lookup_result = "valid"
        if step is not before and (key := context.exchange.key) is not None:
            context.runtime.count_granted(key, lookup, before)
        return context.handler.perform(context, step)
    return _evaluated(context, lookup, step, now)


def _evaluated(
    context: RequestContext, lookup: Lookup, step: Forward | Respond, now: float
) -> Progress:
    """Go on with the outcome of a request that was evaluated in full at `now`."""
    services, key = context.services, lookup.credential.key
    who = None if step.access is None else step.access.authentication
    if isinstance(who, Authenticated):
        context.lookup_result = "valid"
        if isinstance(step, Respond) and step.reason is Reason.PROVIDER_TOKEN_EXPIRED:
            renewable = services.renewer is not None and not context.renewal_awaited
            if renewable:
                return _with_new_token(context, lookup, who.key)
    else:
        context.lookup_result = "invalid"
        if who is not None:
            note_end(who, key, now, services)
            count_failed_session(who, lookup.credential, context)
    return context.handler.perform(context, step)


async def _with_new_token(context: RequestContext, lookup: Lookup, key: str) -> None:
    """Wait for a new access token, without which the upstream refuses; look up again."""
    assert context.services.renewer is not None  # noqa: S101 - narrows
    context.renewal_awaited = True
    await context.services.renewer.renewed(key, context.runtime)
    hand_over(context, _look_up, lookup)


def _kind_of(held: SessionCredential) -> CredentialKind:
    return held.kind if isinstance(held, OF_PROGRAMS) else CredentialKind.COOKIE


def _without_record(
    context: RequestContext, lookup: Lookup, error: StoreUnavailable
) -> Progress:
    """Evaluate the rest of a request whose session could not be looked up."""
    services, rules = context.services, context.runtime.rules
    now = services.ended.at_least(lookup.credential.key, context.now)
    reason = failure_reason(error)
    if reason is Reason.STORE_UNAVAILABLE:  # otherwise a provider failed
        context.lookup_result = "error"
    unknown = Unavailable(reason)
    step = after_lookup(lookup, unknown, rules, now=now, nonce="")
    if isinstance(step, Respond):
        context.ended_as(step.verdict, step.reason)
        services.report.request_failed(context, error)
    return context.handler.perform(context, step)


async def _answer(context: RequestContext, step: Local) -> bool | None:
    context.ended_as(Verdict.ALLOW, Reason.GATEWAY)
    local = await answer_locally(context, step.endpoint)
    return await completed(send_local(context, local.reply, local.cookies))


def _respond(context: RequestContext, outcome: Respond) -> Progress:
    context.refused(outcome)
    return send_local(context, outcome.answer, outcome.cookies, close=outcome.close)
