"""The way of one request, from the first byte read to the last one written.

`Handler._tell` is the only function that knows the whole story; each of its steps
is a call to the room that knows it. Before the first byte of an answer a failure
is a reply; after it a failure is an abort, never a second reply.
"""

import asyncio

from gateway.decision import Allow, decide, outside_networks
from gateway.errors import StoreUnavailable, TooManyAttempts
from gateway.http.head import BadRequest, RequestHead
from gateway.http.target import BadTarget
from gateway.outbound import plan_outbound
from gateway.pages.reply import Reply
from gateway.reasons import Reason
from gateway.routes.model import Route, Rule
from gateway.routes.table import Match, MethodNotAllowed, NoRoute
from gateway.server.arrival import read_arrival
from gateway.server.caller import cookies_to_forward, look_up, presented
from gateway.server.credentials import Credentials, credentials_for
from gateway.server.endings import FAILURES, abort, fail, limit, note_broken_off, refuse
from gateway.server.endpoints import WELL_KNOWN_JWKS, Endpoints, is_own
from gateway.server.exchange import Answered, Exchange
from gateway.server.forward import forward
from gateway.server.sending import own_reply
from gateway.server.serving import Serving
from gateway.server.sign_in_posts import begin_sign_in_post
from gateway.server.story import Story
from gateway.server.tools import Tools
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    Authentication,
)
from gateway.tenants import resolve_tenant


class Handler:
    """Answers each request by the configuration that serves at its start."""

    def __init__(self, *, serving: Serving, tools: Tools) -> None:
        self.serving = serving
        self._tools = tools
        self._endpoints = Endpoints(tools)

    async def __call__(self, exchange: Exchange) -> Answered:
        """Answer one request; see OnRequest."""
        tools, serving = self._tools, self.serving
        story = Story(
            started=tools.edge.ticks(),
            now=tools.edge.now(),
            request_id=tools.edge.hex(16),
        )
        tools.report.began()
        try:
            return await self._tell(exchange, serving, story)
        except asyncio.CancelledError:
            # A client that left takes its request along; nginx's word for it in a
            # log is 499. At a shutdown the client is cut off as well.
            note_broken_off(story)
            raise
        except ConnectionError:
            note_broken_off(story)
            return abort(exchange)
        except TooManyAttempts as limited:
            return await limit(exchange, serving, story, tools, limited)
        except FAILURES as error:
            return await fail(exchange, serving, story, tools, error)
        except Exception as error:  # noqa: BLE001 - law 7: a reply, whatever it is
            tools.report.crashed(error, story)
            return await fail(exchange, serving, story, tools, error)
        finally:
            tools.report.ended(story)

    async def _tell(
        self, exchange: Exchange, serving: Serving, story: Story
    ) -> Answered:
        head = read_arrival(
            exchange,
            serving,
            request_id=story.request_id,
            span_id=self._tools.edge.hex(8),
        )
        if isinstance(head, BadRequest):
            return await refuse(exchange, serving, story, self._tools, head)
        story.head, story.request_id = head, head.request_id
        path = head.target.path
        if is_own(path) or (path == WELL_KNOWN_JWKS and serving.owns_jwks):
            story.decision, story.reason = "gateway", Reason.GATEWAY
            answer = await self._endpoints.answer(exchange, head, serving, story)
            return await own_reply(
                exchange, head, story, self._tools, answer.reply, answer.cookies
            )
        matched = serving.routes.match(
            head.method, head.host, path, head.preflight_method
        )
        if not isinstance(matched, Match):
            reply = _unmatched(matched, serving, head, story)
            return await own_reply(exchange, head, story, self._tools, reply)
        route = story.route = matched.route
        if not head.target.escapes <= route.path_allows:
            refusal = BadRequest(
                status=400, reason=Reason.BAD_TARGET, detail="an ambiguous escape"
            )
            return await refuse(exchange, serving, story, self._tools, refusal)
        authentication = await self._authenticate(route, head, serving, story)
        tenant = (
            resolve_tenant(authentication.session, head, serving.tenant_sources)
            if isinstance(authentication, Authenticated)
            else None
        )
        decision = decide(
            route=route,
            authentication=authentication,
            tenant=tenant,
            head=head,
            now=story.now,
            policy=serving.policy,
        )
        story.reason = decision.reason
        ended = isinstance(authentication, Anonymous) and authentication.ended
        if not isinstance(decision, Allow):
            story.decision = type(decision).__name__.lower()
            if isinstance(authentication, Authenticated):
                story.identity_id = authentication.session.identity.id
                story.session_id = authentication.session.id
            reply = serving.replies.to_decision(decision, route, head)
            cookies = serving.clear_cookies if ended else ()
            return await own_reply(exchange, head, story, self._tools, reply, cookies)
        story.decision = "allow"
        application = serving.applications[route.upstream]
        if head.method == "POST":
            begin_sign_in_post(
                route, application, authentication, head, serving, story, self._tools
            )
        credentials = (
            credentials_for(
                application.view, authentication, decision, head, serving, self._tools
            )
            if isinstance(authentication, Authenticated)
            # An ended session's cookie is cleared by our own replies only: an answer
            # that an upstream takes its time for could clear the cookie of a
            # sign-in that happened meanwhile.
            else Credentials()
        )
        if decision.session is not None and isinstance(authentication, Authenticated):
            story.identity_id = decision.session.identity.id
            story.session_id = decision.session.id
            story.session_key = authentication.key
            story.tenant_id = decision.tenant.id if decision.tenant else None
        outbound = plan_outbound(
            head=head,
            view=application.view,
            session=decision.session,
            tenant=decision.tenant,
            token=credentials.token,
            identity=credentials.identity,
            token_cookies=credentials.token_cookies,
            cookies=cookies_to_forward(head, authentication, serving),
        )
        if isinstance(outbound, BadTarget):
            refusal = BadRequest(
                status=400, reason=outbound.reason, detail=outbound.detail
            )
            return await refuse(exchange, serving, story, self._tools, refusal)
        return await forward(
            exchange=exchange,
            head=head,
            application=application,
            outbound=outbound,
            credentials=credentials,
            serving=serving,
            story=story,
            tools=self._tools,
        )

    async def _authenticate(
        self, route: Route, head: RequestHead, serving: Serving, story: Story
    ) -> Authentication:
        if outside_networks(route, head):
            # Refused whoever it is, so the store is not asked.
            return Anonymous(reason=Reason.NETWORK_NOT_ALLOWED)
        if head.preflight and route.preflight_pass:
            return Anonymous(reason=Reason.PREFLIGHT)
        if route.session_ignored:
            return Anonymous(reason=Reason.NO_SESSION)
        held = presented(head, serving, self._tools)
        if isinstance(held, Anonymous):
            return held
        edge = self._tools.edge
        began = edge.ticks()
        try:
            found = await look_up(held, head, serving, self._tools, story.now)
        except StoreUnavailable:
            story.lookup_outcome = "error"
            if route.rule is Rule.PUBLIC:
                # Open to everyone, so the outage need not stop it; the upstream
                # is told of nobody, and no cookie is touched.
                return Anonymous(reason=Reason.STORE_UNAVAILABLE)
            raise
        finally:
            story.lookup = edge.ticks() - began
        story.lookup_outcome = (
            "valid" if isinstance(found, Authenticated) else "invalid"
        )
        return found


def _unmatched(
    matched: NoRoute | MethodNotAllowed,
    serving: Serving,
    head: RequestHead,
    story: Story,
) -> Reply:
    story.decision = "refuse"
    if isinstance(matched, MethodNotAllowed):
        story.reason = Reason.METHOD_NOT_ALLOWED
        return serving.replies.method_not_allowed(head, matched.allowed)
    if not serving.routes.knows(head.host):
        # RFC 9110, section 15.5.20: the connection led to a server that does not
        # speak for this host; that is no "not found" of a site that is there.
        story.reason = Reason.MISDIRECTED
        return serving.replies.problem(421, Reason.MISDIRECTED, head)
    story.reason = Reason.NO_ROUTE
    return serving.replies.no_route(head)
