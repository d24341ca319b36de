"""TLS towards clients; the certificate can be renewed without closing connections."""

import ssl
from pathlib import Path

from gateway.config.load import LoadedConfig
from gateway.config.sections.server import Tls
from gateway.errors import ConfigError


def server_tls(loaded: LoadedConfig) -> ssl.SSLContext | None:
    """Return the TLS context of the listeners; None without `server.tls`.

    Raises:
        ConfigError: the certificate or its key cannot be used.
    """
    tls = loaded.config.server.tls
    if tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load_certificate(context, tls, loaded)
    return context


def renew_certificate(context: ssl.SSLContext | None, loaded: LoadedConfig) -> None:
    """Reload the certificate from its files, for new handshakes.

    Raises:
        ConfigError: it cannot be used; the previous one stays in use.
    """
    tls = loaded.config.server.tls
    if context is not None and tls is not None:
        _load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls, loaded)
        _load_certificate(context, tls, loaded)


def _load_certificate(context: ssl.SSLContext, tls: Tls, loaded: LoadedConfig) -> None:
    for key, mark, what in _FILES:
        _check_file(loaded, key, getattr(tls, key), mark, what)
    try:
        # Without a password OpenSSL would prompt for one on the terminal.
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except OSError as error:
        why = error.strerror or "unreadable"
        if isinstance(error, ssl.SSLError):
            mismatch = error.reason == "KEY_VALUES_MISMATCH"
            why = (
                "the key belongs to another certificate" if mismatch else "invalid PEM"
            )
        message = f"the certificate or its key cannot be used: {why}"
        raise ConfigError([loaded.problem(message, "server", "tls")]) from error


_FILES = (
    ("certificate", b"-----BEGIN CERTIFICATE", "certificate"),
    ("key", b"PRIVATE KEY-----", "private key"),
)


def _check_file(
    loaded: LoadedConfig, key: str, path: str | Path, mark: bytes, what: str
) -> None:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        problem = f"cannot read {path}: {error.strerror or 'unreadable'}"
        raise ConfigError([loaded.problem(problem, "server", "tls", key)]) from error
    if b"ENCRYPTED" in content:
        problem = f"{path} is protected by a password; use a key without one"
        raise ConfigError([loaded.problem(problem, "server", "tls", key)])
    if mark not in content:
        problem = f"{path} has no {what} in PEM format"
        raise ConfigError([loaded.problem(problem, "server", "tls", key)])
