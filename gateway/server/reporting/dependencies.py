"""Reports what Redis, names and upstream targets do."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final, assert_never

from gateway.proxy.health import TargetChange
from gateway.server.reporting.channels import Channels
from gateway.sessions.redis.events import (
    EndingsWaiting,
    InfoDenied,
    ReadRefused,
    ServerIsReplica,
    ServerReplaced,
    ServerSuspected,
    ServerSwitched,
    StoreEvent,
    WriteNotHeld,
)

_STORE_EVENTS: Final[Mapping[type[StoreEvent], str]] = {
    ServerSwitched: "switched to another Redis server",
    ServerReplaced: "the server at redis.url was replaced",
    ServerIsReplica: "the server at redis.url is a replica: sign-out is unavailable",
    ServerSuspected: "Redis is not a usable master; reconnecting",
    InfoDenied: "Redis denies INFO: a replaced server is not detected",
    WriteNotHeld: "write not confirmed by every Redis server",
    EndingsWaiting: "revocations not yet confirmed by Redis",
}


class DependencyReporter:
    """Logs and counts the events of what the gateway depends on."""

    def __init__(self, channels: Channels) -> None:
        self._log, self._metrics = channels.log, channels.metrics

    def log_corrupt_record(self, key: str, why: str) -> None:
        """Log an invalid session record; called once per key."""
        self._log.warning("unreadable session record", key=key[:12], why=why)

    def store_warning(self, text: str, hint: str, *, broken: bool) -> None:
        """Log a setting or permission of Redis that is unsuitable for sessions."""
        log = self._log.error if broken else self._log.warning
        log("Redis configuration is unsuitable for sessions", why=text, hint=hint)

    def store_event(self, event: StoreEvent) -> None:
        """Log and count an event of the session store."""
        match event:
            case ServerSwitched() | ServerReplaced():
                self._metrics.store_switched()
            case ReadRefused():
                # The access line of the request reports it.
                self._metrics.store_refused("no_lease")
                return
            case WriteNotHeld():
                self._metrics.store_refused("not_held")
            case EndingsWaiting(count):
                self._metrics.endings_waiting(count)
            case ServerIsReplica() | ServerSuspected() | InfoDenied():
                pass
            case _:
                assert_never(event)
        replica = isinstance(event, ServerIsReplica)
        log = self._log.error if replica else self._log.warning
        log(_STORE_EVENTS[type(event)], **asdict(event))

    def name_changed(self, name: str, error: str | None) -> None:
        """Log that look-ups of a host name started to fail, or recovered."""
        if error is None:
            self._log.info("host name look-up recovered", name=name)
        else:
            self._log.warning("host name look-up failed", name=name, problem=error)

    def target_changed(self, upstream: str, change: TargetChange) -> None:
        """Log and count an ejected or readmitted target."""
        if change.ejected:
            self._metrics.target_ejected(upstream, change.cause)
            self._log.warning(
                "upstream target ejected",
                upstream=upstream,
                target=change.target,
                cause=str(change.cause),
                failures=change.failures,
                seconds=round(change.seconds, 1),
            )
        else:
            self._metrics.target_returned(upstream)
            self._log.info(
                "upstream target returned", upstream=upstream, target=change.target
            )
