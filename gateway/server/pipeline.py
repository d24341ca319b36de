"""The I/O around the spine: read, look up, perform the outcome, report.

`Pipeline` decides nothing. The spine returns an outcome; each kind of outcome has one
function here that performs it. Before the first byte of a
response a failure is a response; after it a failure is an abort.
"""

import asyncio
from collections.abc import Coroutine
from typing import assert_never

from gateway.errors import StoreUnavailable, TooManyAttempts
from gateway.http.authorization import CredentialKind
from gateway.http.head import BadRequest, RequestHead
from gateway.reasons import Reason, Verdict
from gateway.server.caller import note_end, query_store
from gateway.server.context import RequestContext, Services
from gateway.server.endpoints import answer_locally
from gateway.server.exchange import Exchange, ExchangeResult
from gateway.server.forward import forward
from gateway.server.guessing import count_failed_session
from gateway.server.read_request import read_request
from gateway.server.request_errors import FAILURES, abort, fail, limit, note_disconnect
from gateway.server.runtime import Runtime
from gateway.server.sending import send_local
from gateway.sessions.access_token import AccessToken
from gateway.sessions.authenticate import Anonymous, Authenticated
from gateway.sessions.store import Found, SessionCredential
from gateway.spine.evaluate import Unavailable, after_lookup, before_lookup, refuse
from gateway.spine.outcome import Forward, Local, Lookup, Outcome, Respond


class Pipeline:
    """Handles each request by the configuration that is active when it comes."""

    def __init__(self, *, runtime: Runtime, services: Services) -> None:
        self.runtime = runtime
        self._services = services

    async def __call__(self, exchange: Exchange) -> ExchangeResult:
        """Handle one request; see OnRequest."""
        services = self._services
        drawn = services.edge.hex(24)
        context = RequestContext(
            exchange=exchange,
            runtime=self.runtime,
            services=services,
            started=services.edge.ticks(),
            now=services.edge.now(),
            request_id=drawn[:32],
        )
        services.report.request_started()
        try:
            head = read_request(context, span_id=drawn[32:])
            if isinstance(head, BadRequest):
                return await _respond(context, refuse(head, context.runtime.rules))
            context.received_head, context.request_id = head, head.request_id
            step = await evaluate(context, head)
            return await _perform(context, step)
        except asyncio.CancelledError:
            # The client disconnected, or the gateway is shutting down.
            note_disconnect(context)
            raise
        except ConnectionError:
            note_disconnect(context)
            return abort(exchange)
        except TooManyAttempts as limited:
            return await limit(context, limited)
        except FAILURES as error:
            return await fail(context, error)
        except Exception as error:  # noqa: BLE001 - invariant 7: always a response
            services.report.log_unhandled_exception(error, context)
            return await fail(context, error)
        finally:
            services.report.request_ended(context)


async def evaluate(
    context: RequestContext, head: RequestHead, *, forwards: bool = True
) -> Outcome:
    """Evaluate a request, with its session if that decides; count a failed one.

    `forwards` False: another proxy forwards what is allowed.

    Raises:
        TooManyAttempts: the session is unknown, and its address has sent too many.
        ClientLimit: the client has too many queries waiting.
    """
    step = before_lookup(
        head, context.runtime.rules, now=context.now, forwards=forwards
    )
    if isinstance(step, Lookup):
        context.route = step.route
        if step.route.takes_tokens:
            context.credential = _kind_of(step.credential)
        try:
            found = await query_store(step.credential, context)
        except StoreUnavailable as error:
            return _without_record(context, step, error)
        return _after(context, step, found)
    if not isinstance(step, Local) and step.access is not None:
        who = step.access.authentication
        if isinstance(who, Anonymous):
            context.credential = who.sent or ""
            count_failed_session(who, None, context)
    return step


async def with_new_token(
    context: RequestContext, outcome: Respond, *, forwards: bool = True
) -> Outcome:
    """Wait for a new access token, without which the upstream refuses; evaluate again."""
    access, renewer = outcome.access, context.services.renewer
    who = None if access is None else access.authentication
    if renewer is None or not isinstance(who, Authenticated):
        return outcome
    await renewer.renewed(who.key, context.runtime)
    return await evaluate(context, context.head, forwards=forwards)


def _kind_of(held: SessionCredential) -> CredentialKind:
    return held.kind if isinstance(held, AccessToken) else CredentialKind.COOKIE


def _after(context: RequestContext, lookup: Lookup, found: Found) -> Forward | Respond:
    """Evaluate the rest of a request, with what the store holds."""
    services, key = context.services, lookup.credential.key
    now = services.ended.at_least(key, context.now)
    step = after_lookup(
        lookup,
        found,
        context.runtime.rules,
        now=now,
        nonce=services.edge.hex(16),
        doubted=services.edge.clock.doubted(),
    )
    who = None if step.access is None else step.access.authentication
    if isinstance(who, Anonymous):
        note_end(who, key, now, services)
        context.lookup_result = "invalid"
        count_failed_session(who, key, context)
    else:
        context.lookup_result = "invalid" if who is None else "valid"
    return step


def _without_record(
    context: RequestContext, lookup: Lookup, error: StoreUnavailable
) -> Forward | Respond:
    """Evaluate the rest of a request whose session could not be looked up."""
    services, rules = context.services, context.runtime.rules
    now = services.ended.at_least(lookup.credential.key, context.now)
    context.lookup_result = "error"
    step = after_lookup(lookup, Unavailable(), rules, now=now, nonce="")
    if isinstance(step, Respond):
        context.ended_as(step.verdict, step.reason)
        services.report.request_failed(context, error)
    return step


def _perform(
    context: RequestContext, step: Outcome
) -> Coroutine[None, None, ExchangeResult]:
    match step:
        case Forward():
            return forward(context, step)
        case Respond():
            return _respond(context, step)
        case Local():
            return _answer(context, step)
        case _ as never:
            assert_never(never)


async def _answer(context: RequestContext, step: Local) -> ExchangeResult:
    context.ended_as(Verdict.ALLOW, Reason.GATEWAY)
    local = await answer_locally(context, step.endpoint)
    return await send_local(context, local.reply, local.cookies)


async def _respond(context: RequestContext, outcome: Respond) -> ExchangeResult:
    if outcome.reason is Reason.PROVIDER_TOKEN_EXPIRED:
        again = await with_new_token(context, outcome)
        if not isinstance(again, Respond):
            return await _perform(context, again)
        outcome = again
    context.refused(outcome)
    return await send_local(
        context, outcome.answer, outcome.cookies, close=outcome.close
    )
