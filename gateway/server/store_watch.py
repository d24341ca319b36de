"""Subscribes to sessions that end or change in the stores of one process."""

from gateway.server.reevaluation import StreamChecks
from gateway.server.runtime import Runtime
from gateway.sessions.store import SessionSource


class StoreWatch:
    """Has the open streams of a session checked when it ends or changes.

    `tokens` is the store of access tokens, if it is not `sessions` itself: it is
    watched once a route takes them.
    """

    def __init__(
        self,
        checks: StreamChecks,
        sessions: SessionSource,
        tokens: SessionSource | None,
    ) -> None:
        self._checks = checks
        self._tokens = tokens
        self._watch(sessions)

    def follow(self, runtime: Runtime) -> None:
        """Watch the access tokens as well, if the configuration takes them."""
        tokens = self._tokens
        if tokens is not None and runtime.rules.takes_tokens:
            self._tokens = None
            self._watch(tokens)

    def _watch(self, store: SessionSource) -> None:
        store.watch(
            self._checks.session_ended,
            self._checks.check_sessions_soon,
            self._checks.session_changed,
        )
