"""TLS towards upstreams: whom we believe and who we say we are."""

import ssl


def client_ssl_context(
    ca: str | None, certificate: str | None, key: str | None
) -> ssl.SSLContext:
    """Build the context for an https upstream; the peer is always verified.

    `ca` is a file of PEM certificates believed in place of the system's;
    `certificate` and `key` are what we show when the upstream asks.

    Raises:
        OSError: a file cannot be read (ssl.SSLError, too, is an OSError).
        ValueError: a key without a certificate.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    elif key is not None:
        raise ValueError("a client key needs its certificate")
    return context
