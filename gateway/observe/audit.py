"""Writes security events, one line each.

`event.action` is a word of the OWASP logging vocabulary where one exists;
`event.category`, `event.type` and `event.outcome` are those of the Elastic Common
Schema. Fields are a closed set, and none can hold a secret.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, assert_never

from structlog.typing import EventDict

from gateway.observe.audit_events import (
    Actor,
    EndedAtRenewal,
    MembershipChanged,
    SessionEvent,
)
from gateway.observe.logs import LogOutput, lines_of
from gateway.reasons import Reason

_VALUE_CHARACTERS: Final = 256


class Audit:
    """Writes audit events at any log level; `now` is in seconds since the epoch."""

    def __init__(self, output: LogOutput) -> None:
        def line(_logger: object, _name: str, event: EventDict) -> str:
            return output.render(event["fields"])

        self._info: Callable[..., object] = lines_of(output, line).info

    def sign_in(self, now: float, actor: Actor, *, methods: Sequence[str] = ()) -> None:
        """Write that an identity signed in."""
        extra = {"gateway.authentication_methods": [_short(m) for m in methods if m]}
        self._write(now, actor, _SIGN_IN, "signed in", extra)

    def sign_in_refused(
        self, now: float, actor: Actor, *, provider: str, reason: Reason, account: str
    ) -> None:
        """Write that a sign-in with a provider ended without a session."""
        extra = {
            "gateway.provider": _short(provider),
            "gateway.reason": reason.value,
            "user.target.name": _short(account),
        }
        self._write(now, actor, _SIGN_IN_REFUSED, "sign-in refused", extra)

    def signed_out_by_provider(
        self, now: float, actor: Actor, *, provider: str, identity_id: str, count: int
    ) -> None:
        """Write that a provider ended sessions."""
        extra: EventDict = {
            "gateway.provider": _short(provider),
            "gateway.count": count,
            "user.target.id": _short(identity_id),
        }
        self._write(now, actor, _SIGN_OUT, "signed out by the provider", extra)

    def session_event(self, now: float, actor: Actor, event: SessionEvent) -> None:
        """Write what a provider changed in a session, or that it ended."""
        extra: EventDict = {"gateway.provider": _short(event.provider)}
        match event:
            case EndedAtRenewal(reason=reason):
                extra["gateway.reason"] = reason.value
                self._write(now, actor, _ENDED, "session not renewed", extra)
            case MembershipChanged(change=change):
                for name in _CHANGES:
                    names = getattr(change, name)
                    extra[f"gateway.{name}"] = [_short(one) for one in names[:64]]
                present = {name: value for name, value in extra.items() if value}
                self._write(now, actor, _RENEWED, "membership changed", present)
            case _ as never:
                assert_never(never)

    def sign_out(self, now: float, actor: Actor, *, everywhere: bool = False) -> None:
        """Write that an identity signed out of one session, or `everywhere`."""
        extra = {"gateway.everywhere": everywhere}
        self._write(now, actor, _SIGN_OUT, "signed out", extra)

    def session_created(
        self, now: float, actor: Actor, *, token_name: str = ""
    ) -> None:
        """Write that an administrator created a session, or an access token."""
        message = f"{_kind(token_name)} created"
        self._write(now, actor, _CREATED, message, _named(token_name))

    def session_revoked(
        self,
        now: float,
        actor: Actor,
        *,
        session_id: str,
        target_user_id: str = "",
        token_name: str = "",
    ) -> None:
        """Write that the owner or an administrator revoked a session, or a token."""
        extra = {
            "gateway.target.session.id": _short(session_id),
            "user.target.id": _short(target_user_id),
            **_named(token_name),
        }
        self._write(now, actor, _REVOKED, f"{_kind(token_name)} revoked", extra)

    def sessions_revoked(self, now: float, actor: Actor, *, count: int) -> None:
        """Write that an identity revoked its other sessions."""
        extra: EventDict = {"gateway.count": count}
        self._write(now, actor, _REVOKED, "other sessions revoked", extra=extra)

    def identity_changed(
        self,
        now: float,
        actor: Actor,
        *,
        identity_id: str,
        members: Sequence[str],
        count: int,
    ) -> None:
        """Write that an app or an administrator changed an identity in its sessions."""
        extra: EventDict = {
            "gateway.changed": list(members),
            "gateway.count": count,
            "user.target.id": _short(identity_id),
        }
        self._write(now, actor, _CHANGED, "identity changed in its sessions", extra)

    def token_issued(self, now: float, actor: Actor, *, profile: str) -> None:
        """Write that a page got a token of the profile."""
        extra = {"gateway.token_profile": profile}
        self._write(now, actor, _ISSUED, "token issued to a page", extra)

    def denied(self, now: float, actor: Actor, *, reason: Reason, route: str) -> None:
        """Write that an authenticated request was denied."""
        extra = {"gateway.reason": reason.value, "gateway.route": route}
        self._write(now, actor, _DENIED, "access denied", extra)

    def tenant_switched(self, now: float, actor: Actor, *, to_tenant_id: str) -> None:
        """Write that a session changed its tenant; `actor` has the previous one."""
        extra = {"gateway.target.organization.id": _short(to_tenant_id)}
        self._write(now, actor, _SWITCHED, "tenant switched", extra)

    def spoofed_headers(
        self, now: float, actor: Actor, *, names: Sequence[str], upstream: str = ""
    ) -> None:
        """Write that an upstream without permission sent reserved headers.

        `names` are the canonical names, not the received spelling.
        """
        extra = {
            "gateway.headers": [_short(name) for name in names[:16]],
            "gateway.upstream": upstream,
        }
        self._write(now, actor, _SPOOFED, "reserved headers", extra)

    def config_reloaded(self, now: float, *, problems: int = 0) -> None:
        """Write that a configuration was loaded, or refused with `problems`."""
        kind = _REFUSED if problems else _RELOADED
        message = "configuration refused" if problems else "configuration loaded"
        extra = {"gateway.problems": problems}
        self._write(now, Actor(), kind, message, extra)

    def admin_refused(self, now: float, actor: Actor) -> None:
        """Write that a request to the admin API had an invalid token."""
        self._write(now, actor, _ADMIN_REFUSED, "admin token refused")

    def _write(
        self,
        now: float,
        actor: Actor,
        kind: "_Kind",
        message: str,
        extra: EventDict | None = None,
    ) -> None:
        outcome = kind.outcome
        fields: EventDict = {
            "@timestamp": _stamp(now),
            "log.level": "info" if outcome == "success" else "warning",
            "event.dataset": "gateway.audit",
            "message": message,
            "event.kind": "event",
            "event.action": kind.action,
            "event.category": [kind.category],
            "event.type": [kind.type],
            "event.outcome": outcome,
            "user.id": _short(actor.user_id),
            "organization.id": _short(actor.tenant_id),
            "gateway.session.id": _short(actor.session_id),
            "client.address": _short(actor.client),
            "user_agent.original": _short(actor.user_agent),
            "http.request.id": _short(actor.request_id),
        }
        fields.update(extra or {})
        present = {key: value for key, value in fields.items() if value not in ("", [])}
        self._info("", fields=present)


@dataclass(frozen=True, slots=True)
class _Kind:
    action: str
    category: str
    type: str
    outcome: Literal["success", "failure"] = "success"


_SIGN_IN: Final = _Kind("authn_login_success", "authentication", "start")
_SIGN_IN_REFUSED: Final = _Kind(
    "authn_login_fail", "authentication", "start", "failure"
)
_SIGN_OUT: Final = _Kind("session_logout", "session", "end")
_CREATED: Final = _Kind("session_created", "session", "start")
_RENEWED: Final = _Kind("authz_change", "iam", "change")
_ENDED: Final = _Kind("session_logout", "session", "end", "failure")
_CHANGES: Final = (
    "roles_added",
    "roles_removed",
    "tenants_added",
    "tenants_removed",
    "traits",
    "tenant_roles",
)
_REVOKED: Final = _Kind("authn_token_revoked", "session", "end")
_CHANGED: Final = _Kind("user_updated", "iam", "change")
_ISSUED: Final = _Kind("authn_token_created", "session", "info")
_DENIED: Final = _Kind("authz_fail", "web", "access", "failure")
_ADMIN_REFUSED: Final = _Kind("authn_login_fail", "authentication", "start", "failure")
_SWITCHED: Final = _Kind("gateway.tenant_switch", "session", "info")
_SPOOFED: Final = _Kind(
    "malicious_extraneous", "intrusion_detection", "denied", "failure"
)
_RELOADED: Final = _Kind("sys_config_reload", "configuration", "change")
_REFUSED: Final = _Kind("sys_config_reload", "configuration", "info", "failure")


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")


def _kind(token_name: str) -> str:
    return "access token" if token_name else "session"


def _named(token_name: str) -> EventDict:
    return {"gateway.token.name": _short(token_name)}


def _short(text: str) -> str:
    return text[:_VALUE_CHARACTERS]
