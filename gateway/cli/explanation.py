"""What `gateway explain` shows about one request: from the functions that the server calls."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, assert_never

from gateway.build.rules import build_rules
from gateway.build.runtime import build_pages
from gateway.build.session_format import format_from
from gateway.build.token_profiles import profiles_from
from gateway.cli.example_request import authorization_of, head_of
from gateway.cli.explain_lines import answer, checks, line, method_not_allowed
from gateway.cli.explain_via import REQUEST_ID, via_lines
from gateway.cli.subject import Subject
from gateway.cli.token_subject import TokenSender
from gateway.config.load import LoadedConfig
from gateway.decision import AccessRequest
from gateway.http.authorization import CredentialKind
from gateway.http.head import BadRequest, RequestHead
from gateway.interval import ALWAYS
from gateway.outbound import UpstreamView
from gateway.reasons import ROWS, Reason
from gateway.sessions.authenticate import Anonymous
from gateway.spine.evaluate import after_lookup, before_lookup
from gateway.spine.local_paths import is_local, methods_of
from gateway.spine.outcome import Forward, Local, Lookup, Outcome, Respond
from gateway.tokens.minter import Issued, TokenProfile, is_entitled
from gateway.tokens.subject import Membership
from gateway.tokens.subject import Subject as TokenSubject

# No request is made, so none has an id: the output is the same each time.
_TRACEPARENT: Final = f"00-{REQUEST_ID}-0123456789abcdef-01"
_NONCE: Final = "0" * 32


class Explanation:
    """One request, its evaluation, and what is printed about it."""

    def __init__(
        self,
        loaded: LoadedConfig,
        method: str,
        target: str,
        who: str,
        program: CredentialKind | None,
        host: str | None,
        address: str,
        headers: tuple[str, ...],
        proxy: str | None,
        token: str | None = None,
        redis_url: str | None = None,
    ) -> None:
        self.passed = False
        self._proxy = proxy
        self._loaded = loaded
        self._now = time.time()
        self._profiles = profiles_from(loaded)
        external = format_from(loaded)
        self._rules = build_rules(
            loaded, external=external, issuer=Preview(self._profiles)
        )
        self._subject: Subject | TokenSender
        if token is not None:
            self._subject = TokenSender(loaded, token, self._now)
            headers = (*headers, f"Authorization: Bearer {token}")
        else:
            self._subject = Subject(
                loaded, external, who, self._now, program, redis_url
            )
        if program is not None:
            headers = (*headers, f"Authorization: {authorization_of(program)}")
        self._request = (method, target)
        self._head = head_of(method, target, loaded, host, address, headers)

    def document(self, lines: Sequence[str]) -> dict[str, Any]:
        """Return the explanation for programs; `lines` are those of the text."""
        method, target = self._request
        found: dict[str, Any] = {
            "method": method,
            "target": target,
            "as": self._subject.name,
            "allowed": self.passed,
        }
        head = self._head
        if isinstance(head, BadRequest):
            return found | {
                "verdict": "refuse",
                "status": head.status,
                "reason": str(head.reason),
                "text": list(lines),
            }
        outcome = self._evaluate(head)
        if isinstance(outcome, Local):
            return found | {"verdict": "local", "text": list(lines)}
        route = outcome.route
        found["route"] = route and {"id": route.id, "source": route.source}
        found["reason"] = str(outcome.reason)
        if isinstance(outcome, Respond):
            found["verdict"] = str(outcome.verdict)
            found["status"] = outcome.answer.status
        else:
            found["verdict"] = "allow"
            found["upstream"] = outcome.view.name
        if outcome.access is not None:
            found["rule"] = outcome.access.route.rule.value
            found["checks"] = [_check_document(one) for one in checks(outcome.access)]
        return found | {"text": list(lines)}

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text."""
        method, target = self._request
        program = self._subject.program
        how = "" if program is None else f", a program ({program})"
        yield f"{method} {target} as {self._subject.name}{how}"
        yield ""
        head = self._head
        if isinstance(head, BadRequest):
            yield line("refused", f"{head.status} {head.reason}: {head.detail}")
            return
        outcome = self._evaluate(head)
        self.passed = not isinstance(outcome, Respond)
        match outcome:
            case Local():
                yield line("route", "none: the gateway answers this itself")
                yield line("because", _OWN)
            case Forward(access=access):
                yield from self._route(head, outcome)
                yield from self._checks(access)
                yield from self._decision("allow", outcome.reason)
                yield from self._upstream(outcome)
            case Respond(access=access):
                yield from self._route(head, outcome)
                if access is not None:
                    yield from self._checks(access)
                    yield from self._decision(
                        outcome.verdict, outcome.reason, outcome.detail
                    )
                    yield from self._answers(head, outcome)
                elif outcome.route is not None:
                    status = outcome.answer.status
                    yield line(
                        "refused", f"{status} {outcome.reason}: {outcome.detail}"
                    )
            case _ as never:
                assert_never(never)

    def via(self) -> Iterator[str]:
        """Yield the response to a front proxy; nothing for a request that is invalid."""
        head, proxy = self._head, self._proxy
        if proxy is None or isinstance(head, BadRequest):
            return
        pages = build_pages(self._loaded.config)
        yield ""
        yield from via_lines(
            proxy, self._evaluate(head), head, self._rules.answers, pages
        )

    def _evaluate(self, head: RequestHead) -> Outcome:
        """Call the two functions that the server calls."""
        rules, subject = self._rules, self._subject
        step = before_lookup(
            head,
            rules,
            now=self._now,
            credential=subject.credential(),
            forwards=self._proxy is None,
        )
        if not isinstance(step, Lookup):
            return step
        return after_lookup(step, subject.record(), rules, now=self._now, nonce=_NONCE)

    def _route(self, head: RequestHead, outcome: Forward | Respond) -> Iterator[str]:
        path = head.target.path
        reason = outcome.reason
        route = outcome.route
        if route is not None:
            yield line("route", f"{route.id}   {route.source}")
        elif reason is Reason.METHOD_NOT_ALLOWED:
            allowed = methods_of(path) or self._allowed(head)
            yield from method_not_allowed(head.method, allowed)
        elif isinstance(outcome, Respond):
            yield line("route", f"none: {outcome.answer.status} {reason}")
        if is_local(path):
            yield line("because", _OWN)
            return
        for candidate in self._rules.routes.explain(
            head.method, head.host, path, head.preflight_method
        ):
            text = candidate.why
            if not candidate.won:
                text = f"not {candidate.route.id} ({candidate.route.source}): {text}"
            yield line("because" if candidate.won else "", text)

    def _checks(self, access: AccessRequest) -> Iterator[str]:
        yield line("rule", access.route.rule.value)
        yield ""
        yield "checks"
        yield from checks(access)
        yield ""

    def _decision(
        self, verdict: str, reason: Reason, detail: str = ""
    ) -> Iterator[str]:
        yield line("decision", f"{verdict} ({reason})")
        if detail:
            yield line("", detail)
        yield line("", ROWS[reason].sentence)
        yield ""

    def _answers(self, head: RequestHead, outcome: Respond) -> Iterator[str]:
        """Evaluate the request as a browser and as a program would send it."""
        browser = replace(
            head, accept="text/html", sec_fetch_mode="navigate", requested_with=None
        )
        program = replace(head, accept="application/json", sec_fetch_mode=None)
        for label, caller, sent in (
            ("answer", "a browser", browser),
            ("", "a program", program),
        ):
            given = self._evaluate(sent)
            if isinstance(given, Respond):
                yield answer(label, caller, given.answer)
        if outcome.cookies:
            yield line("", "and the session cookie is cleared")

    def _upstream(self, outcome: Forward) -> Iterator[str]:
        view, outbound = outcome.view, outcome.outbound
        upstream = self._loaded.config.upstreams.get(view.name)
        if upstream is None:
            yield line("upstream", "none: another proxy forwards the request")
        else:
            yield line("upstream", f"{view.name} ({', '.join(upstream.url)})")
        for sent in outbound.encode(REQUEST_ID, _TRACEPARENT).split(b"\r\n")[:-2]:
            yield f"  {sent.decode('utf-8', 'replace')}"
        for name, why in view.identity.unsent.items():
            yield f"  {name} is not sent: {why}"
        yield from self._token(outcome, view)

    def _token(self, outcome: Forward, view: UpstreamView) -> Iterator[str]:
        who = outcome.access.authentication
        if isinstance(who, Anonymous):
            return
        if view.provider is not None:
            yield f"  Authorization: the access token of {view.provider}, if it signed the user in"
        for profile in (self._profiles[slot.profile] for slot in view.tokens):
            if not any(use.profile == profile.name for use in outcome.tokens):
                yield f"  no {profile.name} token: it needs a tenant, and there is none"
                continue
            claims = profile.claims_of(who.session, outcome.access.known_tenant)
            shown = json.dumps({"aud": profile.audience, **claims})
            yield f"  {profile.name} token: {shown}"

    def _allowed(self, head: RequestHead) -> tuple[str, ...]:
        matched = self._rules.routes.match(head.method, head.host, head.target.path)
        return getattr(matched, "allowed", ())


def _check_document(text: str) -> dict[str, str]:
    result, _, rest = text.strip().partition(" ")
    description, _, reason = rest.strip().partition("   ")
    found = {"check": description, "result": _RESULTS[result]}
    return found | ({"reason": reason.strip()} if reason else {})


_RESULTS: Final = {"pass": "pass", "FAIL": "fail", "-": "not required"}
_OWN: Final = "routes do not apply to the gateway's own paths"


class Preview:
    """Issues placeholders: to explain a request needs no signing key."""

    def __init__(self, profiles: dict[str, TokenProfile]) -> None:
        self._profiles = profiles

    def token(
        self,
        profile: str,
        session: TokenSubject,
        tenant: Membership | None,
        now: float,  # noqa: ARG002 - the same interface
        jti: str,  # noqa: ARG002
    ) -> Issued | None:
        """Return a placeholder for the token that the session would get."""
        if not is_entitled(self._profiles[profile], session, tenant):
            return None
        return Issued(f"<{profile} token>", signed=False, lasts=ALWAYS)
