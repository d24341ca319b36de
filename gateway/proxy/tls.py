"""TLS towards upstreams: trusted certificates and the client certificate."""

import ssl


def client_ssl_context(
    ca: str | None, certificate: str | None, key: str | None
) -> ssl.SSLContext:
    """Return the context for an https upstream; the peer is always verified.

    Args:
        ca: file of PEM certificates to trust instead of the system's; None: those.
        certificate: file of the client certificate.
        key: file of its key; None if the certificate file contains it.

    Raises:
        OSError: a file cannot be read or is invalid (ssl.SSLError is an OSError).
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
