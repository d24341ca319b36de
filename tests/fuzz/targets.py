"""What is fuzzed: each function takes any bytes and checks what must always hold.

A function returns nothing. It raises only where a promise is broken: an exception that
the parser does not document, or an assertion here.
"""

import base64
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final, assert_never
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from gateway.authz.families import FrontProxyError, read_described
from gateway.authz.mode import Mode, mode_of
from gateway.config.load import parse_config
from gateway.errors import ConfigError, InvalidUpstreamResponse, Problem
from gateway.http.authorization import CredentialKind, Sent, read_authorization
from gateway.http.fields import sort_fields
from gateway.http.forwarded import ClientAddress, read_client_address
from gateway.http.head import HeadRules, RequestHead, read_head
from gateway.http.headers import is_token, line_of
from gateway.http.refusal import BadRequest
from gateway.http.response_fields import NOT_END_TO_END
from gateway.http.return_to import safe_return_to
from gateway.http.target import BadTarget, Target, parse_target, strip_prefix
from gateway.proxy.chunks import ChunkedDecoder
from gateway.proxy.frames import FrameTracker
from gateway.proxy.framing import BodyKind, read_framing
from gateway.proxy.head import HeadBytes, ResponseHead
from gateway.server.sign_in_headers import (
    InvalidSignIn,
    SignIn,
    SignOut,
    read_sign_in_headers,
)
from gateway.sessions.access_token import read_access_token
from gateway.sessions.cookie import NoCookie, read_session_token, strip_cookie
from gateway.sessions.formats.codecs import Codec, Unreadable, decode
from gateway.sessions.formats.credential import Credential, read_credential
from gateway.sessions.formats.engine import NeedsLookup, Stored, interpret_record
from gateway.sessions.formats.profile import Profile
from gateway.sessions.formats.signatures import BadSignature, Signature, verifier
from gateway.sessions.members import deeper_than
from gateway.sessions.record import Session
from gateway.sessions.record_json import parse_record, serialise
from tests.sessions.formats.scenarios import SCENARIOS

NOW: Final = 1_795_219_200.0
PROXIES: Final = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
SECRET: Final = "a secret for the fuzzer only"
ORIGIN: Final = "https://app.example"
PARTNER: Final = "https://partner.example:8443"
_HOP_BY_HOP: Final = {
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"forwarded", b"content-length", b"host", b"cookie",
}  # fmt: skip


def target(data: bytes) -> None:
    """One spelling, and no reader finds a dot segment, an empty one or a backslash."""
    parsed = parse_target(data.decode("latin-1"))
    if isinstance(parsed, BadTarget):
        return
    assert parse_target(parsed.raw) == parsed, "canonical is canonical"
    _check_path(parsed)
    for prefix in ("/api", "/a%20b"):
        rest = strip_prefix(parsed, prefix)
        if isinstance(rest, Target):
            _check_path(rest)


def _check_path(parsed: Target) -> None:
    path = parsed.path
    assert path.startswith("/"), path
    assert path.isascii(), path
    assert path.isprintable(), path
    for never in (" ", "//", "\\", "#"):
        assert never not in path, path
    layer = path.encode()
    for _ in range(4):
        for segment in layer.replace(b"\\", b"/").split(b"/"):
            assert segment.partition(b";")[0] not in {b".", b".."}, path
        layer = unquote_to_bytes(layer)


def head(data: bytes) -> None:
    """A request head is refused, or free of what only concerns one connection."""
    first, *lines = data.split(b"\n")[:64]
    method, _, raw_target = first.decode("latin-1").partition(" ")
    pairs = [line.partition(b":")[::2] for line in lines]
    fields = [(name, value.strip()) for name, value in pairs]
    for rules, peer in (
        (HeadRules(), "192.0.2.7"),
        (HeadRules(trusted_proxies=PROXIES), "10.0.0.1"),
        (HeadRules(trust_unix=True), ""),
    ):
        found = read_head(
            method=method,
            raw_target=raw_target,
            version=(1, 1),
            fields=sort_fields(fields),
            peer=peer,
            tls=False,
            rules=rules,
        )
        if isinstance(found, BadRequest):
            assert 400 <= found.status < 600
            continue
        assert isinstance(found, RequestHead)
        assert found.host
        assert found.scheme in {"http", "https"}
        assert 0 < found.port <= 65535
        for name, value in found.headers:
            assert is_token(name), name
            assert name.lower() not in _HOP_BY_HOP, name
            assert not name.lower().startswith(b"x-forwarded-"), name
            assert not set(value) & set(b"\r\n\0"), value
        if not rules.trusted_proxies and peer:
            assert found.client == peer, "a stranger says nothing of the address"


_DESCRIBING: Final = {
    Mode.FORWARD_AUTH: (
        b"x-forwarded-method", b"x-forwarded-proto", b"x-forwarded-host",
        b"x-forwarded-uri",
    ),
    Mode.AUTH_REQUEST: (b"x-original-url", b"x-original-method"),
    Mode.EXT_AUTHZ: (b"host", b"x-forwarded-proto"),
}  # fmt: skip


def check(data: bytes) -> None:
    """A front proxy describes one request, in one field for each part, or none."""
    first, *lines = data.split(b"\n")[:64]
    method, _, raw_target = first.decode("latin-1").partition(" ")
    mode = mode_of(raw_target)
    if mode is None:
        return
    pairs = [line.partition(b":")[::2] for line in lines]
    fields = [(name, value.strip()) for name, value in pairs]
    found, stranger = (
        read_described(
            mode,
            method=method,
            raw_target=raw_target,
            fields=sort_fields(fields),
            peer=peer,
            rules=HeadRules(trusted_proxies=PROXIES),
        )
        for peer in ("10.0.0.1", "192.0.2.7")
    )
    assert isinstance(stranger, FrontProxyError)
    assert stranger.status == 403
    if isinstance(found, FrontProxyError):
        assert found.status == 400
        assert found.detail.isascii(), "a few sentences, without a client's data"
        return
    if isinstance(found, BadRequest):
        assert 400 <= found.status < 600
        return
    given: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        given.setdefault(name.lower(), []).append(value.strip(b" \t"))
    for name in _DESCRIBING[mode]:
        assert len(given[name]) == 1, name
    assert b"x-forwarded-for" in given
    _check_path(found.target)
    requested = _asked(mode, method, raw_target, given)
    assert found.method.encode("latin-1") == requested[0]
    assert parse_target(requested[1].decode("latin-1")) == found.target
    for value in given.get(b"forwarded", ()):
        if named := re.fullmatch(r"host=([a-z]+)", value.decode("latin-1")):
            assert found.host == named[1], "another host beside the described one"


def _asked(
    mode: Mode, method: str, raw_target: str, given: Mapping[bytes, Sequence[bytes]]
) -> tuple[bytes, bytes]:
    match mode:
        case Mode.FORWARD_AUTH:
            return given[b"x-forwarded-method"][0], given[b"x-forwarded-uri"][0]
        case Mode.AUTH_REQUEST:
            url = given[b"x-original-url"][0].partition(b"://")[2]
            return given[b"x-original-method"][0], url[url.index(b"/") :]
        case Mode.EXT_AUTHZ:
            path = raw_target.removeprefix("/authz/ext-authz")
            return method.encode("latin-1"), path.encode("latin-1")
        case _ as never:
            assert_never(never)


def cookie(data: bytes) -> None:
    """A cookie that was stripped is not there for the reader that judges."""
    fields = data.split(b"\n")[:8]
    name = b"gateway_session"
    read_session_token(fields, name)
    left = strip_cookie(fields, frozenset((name, b"other")))
    if left is not None:
        assert isinstance(read_session_token([left], name), NoCookie), left
        assert isinstance(read_session_token([left], b"other"), NoCookie), left


def authorization(data: bytes) -> None:
    """A secret is text of one spelling; a token that was read is what was sent."""
    lines = [line_of(b"Authorization", each) for each in data.split(b"\n")[:4]]
    found = read_authorization(lines)
    if not isinstance(found, Sent) or not found.secret:
        return
    assert len(lines) == 1
    sent = lines[0].value.strip(b" \t").partition(b" ")[2].lstrip(b" ")
    if found.scheme == CredentialKind.BASIC:
        pair = base64.b64decode(sent, validate=True)
        assert base64.b64encode(pair) == sent
        sent = pair.partition(b":")[2]
    assert sent == found.secret.encode("ascii")
    token = read_access_token(found.secret, CredentialKind.BEARER)
    assert token is None or token.value == found.secret


def forwarded(data: bytes) -> None:
    """The client is an address, or the proxy itself, and then it is not known."""
    names = (
        "x-forwarded-for", "forwarded", "x-forwarded-proto", "x-forwarded-host",
        "x-forwarded-port",
    )  # fmt: skip
    texts = data.decode("latin-1").split("\n")
    values = {name: text for name, text in zip(names, texts, strict=False) if text}
    found = read_client_address("10.0.0.1", values, PROXIES)
    if not isinstance(found, ClientAddress):
        return
    chain = [ip_address(hop) for hop in found.chain.split(", ")]
    assert str(chain[-1]) == "10.0.0.1"
    assert found.client == str(chain[0])
    for hop in chain[1:]:
        assert any(hop in network for network in PROXIES), (
            "only trusted hops are passed"
        )
    if not found.known:
        assert any(chain[0] in network for network in PROXIES)
    assert found.port is None or 0 < found.port <= 65535


def return_to(data: bytes) -> None:
    """A browser that follows it stays on an origin that is allowed."""
    value = data.decode("utf-8", "replace")
    found = safe_return_to(value, public_origin=ORIGIN, allowed=(PARTNER,))
    if found is None:
        return
    # WHATWG URL, sections 4.4 and 4.6: tabs and newlines are dropped, "\\" is "/".
    seen = "".join(char for char in found if char not in "\t\r\n").replace("\\", "/")
    place = urlsplit(urljoin(f"{ORIGIN}/somewhere/else", seen.strip()))
    assert f"{place.scheme}://{place.netloc}".lower() in {
        ORIGIN, f"{ORIGIN}:443", PARTNER,
    }, found  # fmt: skip
    assert not seen.startswith("//"), found
    assert found.isascii(), found
    assert found.isprintable(), found
    decoded = unquote_to_bytes(found.partition("?")[0])
    assert not decoded.replace(b"\\", b"/").startswith(b"//"), found


def configuration(data: bytes) -> None:
    """A file is loaded, or refused with problems that repeat no secret."""
    problems: tuple[Problem, ...] | None = None
    try:
        parse_config(data, path=Path("g.yaml"), env={"S": SECRET})
    except ConfigError as error:
        problems = error.problems
    assert problems is None or problems, "what is refused has a reason"
    assert SECRET not in "".join(str(problem) for problem in problems or ())


def record(data: bytes) -> None:
    """A record is unreadable, or means the same after it was written back."""
    parsed = parse_record(data)
    if isinstance(parsed, Session):
        try:
            written = serialise(parsed)
        except ValueError:
            return  # larger than a record may be
        assert parse_record(written) == parsed


def codec(data: bytes) -> None:
    """A stored value of another library is a mapping of bounded depth, or refused."""
    for allowed in (frozenset(Codec), *(frozenset((one,)) for one in Codec)):
        try:
            found = decode(data, allowed, 65536)
        except Unreadable:
            continue
        assert isinstance(found, dict)
        assert not deeper_than(found, 64)
        if allowed == {Codec.JSON} and data[:1] == b"{":
            assert found == json.loads(data, parse_int=_as_orjson)


def _as_orjson(text: str) -> int | float:
    # Beyond 64 bits it is a float, which no id, role or membership may be.
    number = int(text)
    return number if -(2**63) <= number < 2**64 else float(text)


_PROFILES: Final = [each.profile for each in SCENARIOS]


@cache
def _verifiers() -> list[tuple[Signature, Any]]:
    return [
        (kind, verifier(kind, (SECRET, "another secret of the fuzzer"), salt="salt"))
        for kind in Signature
    ]


def signature(data: bytes) -> None:
    """Nothing is genuine but what one of the secrets has signed, in one spelling."""
    value = data.decode("latin-1")
    for kind, check in _verifiers():
        found = check.open(value)
        if isinstance(found, BadSignature) or kind is Signature.NONE:
            continue
        prefix = "s:" if kind is Signature.EXPRESS else ""
        assert value in {
            f"{prefix}{found}.{_signed(kind, secret, found)}"
            for secret in (SECRET, "another secret of the fuzzer")
        }, value


def _signed(kind: Signature, secret: str, session_id: str) -> str:
    key, text = secret.encode(), session_id.encode()
    if kind is Signature.ITSDANGEROUS:
        derived = hmac.digest(key, b"salt", "sha1")
        digest = hmac.digest(derived, text, "sha1")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
    encoded = base64.b64encode(hmac.digest(key, text, "sha256")).decode()
    return encoded if kind is Signature.HMAC_SHA256 else encoded.rstrip("=")


def external(data: bytes) -> None:
    """Cookie and record of any library: somebody with a name, or nobody."""
    which, cookies, raw, then = (data.split(b"\0\n", 3) + [b"", b"", b"", b""])[:4]
    profile: Profile = _PROFILES[sum(which) % len(_PROFILES)]
    found = read_credential(profile, cookies.split(b"\n")[:4])
    known = SCENARIOS[sum(which) % len(_PROFILES)].cookie
    credential = (
        found if isinstance(found, Credential) else read_credential(profile, [known])
    )
    assert isinstance(credential, Credential)
    assert credential.value not in repr(credential)
    stored = Stored(value=raw, pttl=60_000)
    interpreted = interpret_record(profile, credential, stored, NOW)
    if isinstance(interpreted, NeedsLookup):
        interpreted = interpret_record(
            profile, credential, stored, NOW, Stored(value=then, pttl=60_000)
        )
    if isinstance(interpreted, Session):
        assert isinstance(interpreted.identity.id, str)
        assert interpreted.identity.id
        assert interpreted.id == credential.key
        assert interpreted.expires_at <= NOW + 60


def sign_in_header(data: bytes) -> None:
    """A hand-off is one that a session can be made of, or is not obeyed."""
    encoded = base64.urlsafe_b64encode(data).rstrip(b"=")
    for value in (data, encoded):
        found = read_sign_in_headers([(b"X-Gateway-Sign-In", value)])
        assert isinstance(found, SignIn | InvalidSignIn)
        if isinstance(found, SignIn):
            assert found.identity.id
            assert found.active_tenant_id is None or (
                found.active_tenant_id in found.tenants
            )
    out = read_sign_in_headers([(b"x-gateway-sign-out", data)])
    assert isinstance(out, SignOut | InvalidSignIn)


def _head_of(*pieces: bytes) -> tuple[ResponseHead, bytes] | None:
    held, found = HeadBytes(), None
    for piece in pieces:
        if found is not None:
            found = (found[0], found[1] + piece)
            continue
        try:
            found = held.final_head(piece)
        except InvalidUpstreamResponse:
            return None
    return found


def response_head(data: bytes) -> None:
    """An upstream's head is the same in whatever pieces it comes, or refused."""
    at = len(data) // 2
    whole, split = _head_of(data), _head_of(data[:at], data[at:])
    assert (whole and whole[0].pairs()) == (split and split[0].pairs())
    if whole is None or split is None:
        return
    assert whole[1] == split[1]
    try:
        framing = read_framing("GET", whole[0])
    except InvalidUpstreamResponse:
        return
    assert framing.kind is not BodyKind.CHUNKED or framing.content_length is None
    for field in framing.end_to_end.fields:
        assert is_token(field.name)
        assert not set(field.value) & set(b"\r\n\0")
        if field.name.lower() in {b"transfer-encoding", b"content-length"}:
            assert field.role & NOT_END_TO_END


def chunks(data: bytes) -> None:
    """A chunked body has the same content in whatever pieces it comes."""
    whole, split = ChunkedDecoder(), ChunkedDecoder()
    content = whole.read(data)
    pieces = [split.read(data[at : at + 1]) for at in range(len(data))]
    assert split.ended == whole.ended
    assert bool(split.error) == bool(whole.error)
    if whole.ended:
        assert b"".join(pieces) == content
        assert split.clean == whole.clean


def frames(data: bytes) -> None:
    """A tracker is at the same place in the frames, in whatever pieces they come."""
    whole, split = FrameTracker(), FrameTracker()
    at = 0
    while at < len(data):
        step = whole.feed(data[at:])
        assert step > 0
        at += step
    for byte in range(len(data)):
        assert split.feed(data[byte : byte + 1]) == 1
    assert (split.at_boundary, split.closed) == (whole.at_boundary, whole.closed)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    each.__name__: each
    for each in (
        target, head, check, cookie, authorization, forwarded, return_to,
        configuration, record, codec,
        signature, external, sign_in_header, response_head, chunks, frames,
    )
}  # fmt: skip
