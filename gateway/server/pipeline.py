"""The I/O around the spine: read, look up, perform the outcome, report.

`Pipeline` decides nothing. The spine returns an outcome; each kind of outcome has one
function here that performs it. Before the first byte of a
response a failure is a response; after it a failure is an abort.
"""

import asyncio
from typing import assert_never

from gateway.errors import StoreUnavailable, TooManyAttempts
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
from gateway.sessions.authenticate import Anonymous
from gateway.spine.evaluate import (
    LookupResult,
    Unavailable,
    after_lookup,
    before_lookup,
    refuse,
)
from gateway.spine.outcome import Forward, Local, Lookup, Outcome, Respond


class Pipeline:
    """Handles each request by the configuration that is active when it comes."""

    def __init__(self, *, runtime: Runtime, services: Services) -> None:
        self.runtime = runtime
        self._services = services

    async def __call__(self, exchange: Exchange) -> ExchangeResult:
        """Handle one request; see OnRequest."""
        services = self._services
        context = RequestContext(
            exchange=exchange,
            runtime=self.runtime,
            services=services,
            started=services.edge.ticks(),
            now=services.edge.now(),
            request_id=services.edge.hex(16),
        )
        services.report.request_started()
        try:
            return await _handle(context)
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


async def _handle(context: RequestContext) -> ExchangeResult:
    edge, rules = context.services.edge, context.rules
    head = read_request(context, span_id=edge.hex(8))
    if isinstance(head, BadRequest):
        return await _respond(context, refuse(head, rules))
    context.received_head, context.request_id = head, head.request_id
    step = await evaluate(context, head)
    match step:
        case Forward():
            return await forward(context, step)
        case Respond():
            return await _respond(context, step)
        case Local():
            context.ended_as(Verdict.ALLOW, Reason.GATEWAY)
            local = await answer_locally(context, step.endpoint)
            return await send_local(context, local.reply, local.cookies)
        case _ as never:
            assert_never(never)


async def evaluate(context: RequestContext, head: RequestHead) -> Outcome:
    """Evaluate a request, with its session if that decides; count a failed one.

    Raises:
        TooManyAttempts: the session is unknown, and its address has sent too many.
        ClientLimit: the client has too many queries waiting.
    """
    step = before_lookup(head, context.rules, now=context.now)
    key = None
    if isinstance(step, Lookup):
        context.route = step.route
        key = step.credential.key
        step = await _look_up(context, step)
    if not isinstance(step, Local) and step.access is not None:
        who = step.access.authentication
        if isinstance(who, Anonymous):
            count_failed_session(who, key, context)
    return step


async def _look_up(context: RequestContext, lookup: Lookup) -> Forward | Respond:
    """Query the store, the only I/O of a decision, and evaluate the rest."""
    services = context.services
    failure: StoreUnavailable | None = None
    found: LookupResult
    began = services.edge.ticks()
    try:
        found = await query_store(lookup.credential, context)
    except StoreUnavailable as error:
        found, failure = Unavailable(), error
    finally:
        context.lookup_time = services.edge.ticks() - began
    key = lookup.credential.key
    now = services.ended.at_least(key, context.now)
    doubted = services.edge.clock.doubted()
    step = after_lookup(
        lookup,
        found,
        context.rules,
        now=now,
        nonce=services.edge.hex(16),
        doubted=doubted,
    )
    if step.access is not None:
        note_end(step.access.authentication, key, now, services)
    context.lookup_result = (
        "error" if failure is not None else "valid" if step.authenticated else "invalid"
    )
    if failure is not None and isinstance(step, Respond):
        context.ended_as(step.verdict, step.reason)
        services.report.request_failed(context, failure)
    return step


async def _respond(context: RequestContext, outcome: Respond) -> ExchangeResult:
    context.ended_as(outcome.verdict, outcome.reason)
    context.route, context.detail = outcome.route, outcome.detail
    session = outcome.session
    if session is not None:
        context.acts_for(session)
    return await send_local(
        context, outcome.answer, outcome.cookies, close=outcome.close
    )
