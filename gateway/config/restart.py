"""Keys that a reload cannot change: listeners, workers, Redis."""

from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.errors import ConfigError


def check_same_kind(started: Config, loaded: LoadedConfig) -> None:
    """Refuse a reload that would need another kind of store.

    Raises:
        ConfigError: the sessions are now the gateway's own, or no longer.
    """
    if started.sessions.external is not loaded.config.sessions.external:
        problem = "the change to or from format: gateway needs a restart"
        raise ConfigError([loaded.problem(problem, "sessions", "format")])


def waits_for_restart(old: Config, new: Config) -> tuple[str, ...]:
    """Return the changed keys that require a restart."""
    return tuple(
        name
        for name, before, after in (
            ("server.listen", old.server.listen, new.server.listen),
            ("server.admin", old.server.admin, new.server.admin),
            ("server.authz", old.server.authz, new.server.authz),
            ("server.workers", old.server.workers, new.server.workers),
            ("server.tls", old.server.tls is None, new.server.tls is None),
            ("server.limits", _of_process(old), _of_process(new)),
            ("server.timeouts", old.server.timeouts, new.server.timeouts),
            ("redis", old.redis, new.redis),
            ("dns", old.dns, new.dns),
            (
                "sessions.max_per_identity",
                old.sessions.max_per_identity,
                new.sessions.max_per_identity,
            ),
            (
                "sessions.remember_ended",
                old.sessions.remember_ended,
                new.sessions.remember_ended,
            ),
        )
        if before != after
    )


def _of_process(config: Config) -> tuple[int, ...]:
    limits = config.server.limits
    return limits.header_bytes, limits.connections, limits.address_percent
