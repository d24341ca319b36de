"""What each probe of `gateway authz-test` takes for right, and what it says otherwise."""

import pytest

from gateway.authz.self_test import Answer, Page, Probe, probes_for
from gateway.http.target import BadTarget, parse_target
from gateway.sessions.cookie import Malformed, NoCookie, read_session_token

PAGE = Page(
    origin="https://app.example",
    path="/dashboard",
    public="/static/self-test",
    headers=("X-Auth-User-Id", "Cookie"),
    cookie="__Host-gw",
)
PROBES = probes_for(PAGE)
BACK = "https://app.example/auth/login?return_to=/dashboard%3Fprobe%3Da%2520b&reason=x"


def probe(name: str) -> Probe:
    return next(each for each in PROBES if each.name.startswith(name))


def test_no_probe_takes_a_success_for_a_refusal() -> None:
    for each in PROBES:
        if each.target.startswith("/.gateway/"):
            continue
        for status in (200, 204, 500, 502, 503, 0):
            assert each.finding(Answer(status=status, failure="x")), each.name


def test_no_probe_carries_a_credential_or_changes_anything() -> None:
    for each in PROBES:
        cookies = [text.encode() for name, text in each.headers if name == "Cookie"]
        for name in (b"__Host-gw", b"gateway_session"):
            assert isinstance(read_session_token(cookies, name), NoCookie | Malformed)
        assert each.method in {"GET", "HEAD", "POST"}
    assert [each.method for each in PROBES].count("POST") == 1


def test_the_probe_with_two_sessions_sends_the_cookie_of_the_configuration() -> None:
    cookies = [text for name, text in probe("two session").headers if name == "Cookie"]

    assert len(set(cookies)) == 2
    for text in cookies:
        assert text.startswith("__Host-gw=")
        assert isinstance(read_session_token([text.encode()], b"__Host-gw"), Malformed)


def test_every_detour_is_a_path_that_the_gateway_refuses() -> None:
    detours = [each for each in PROBES if each.name.startswith("no way around")]

    assert len(detours) == 5
    for each in detours:
        parsed = parse_target(each.target)
        assert isinstance(parsed, BadTarget) or parsed.escapes, each.target


def test_without_a_public_page_there_are_no_detours() -> None:
    page = Page(origin="https://a", path="/x", public=None, headers=(), cookie="a")

    assert not [p for p in probes_for(page) if p.name.startswith("no way around")]


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        pytest.param("an API client", Answer(status=401), None, id="challenged"),
        pytest.param("an API client", Answer(status=200), "FORWARDED", id="forwarded"),
        pytest.param("an API client", Answer(status=500), "trusted_proxies", id="no decision"),
        pytest.param("an API client", Answer(status=302, location=BACK), "Accept", id="as a browser"),
        pytest.param("an API client", Answer(status=404), "log", id="anything else"),
        pytest.param("a browser", Answer(status=302, location=BACK), None, id="to sign in"),
        pytest.param("a browser", Answer(status=401), "error_page", id="no redirect"),
        pytest.param("a browser", Answer(status=302, location="/auth/login"), "absolute", id="relative"),
        pytest.param("a browser", Answer(status=302), "absolute", id="no address"),
        pytest.param("a browser", Answer(status=302, location="https://app.example/auth/login?return_to=/"), "another path", id="another page"),
        pytest.param("a browser", Answer(status=302, location=BACK.replace("app.example", "127.0.0.1:9091")), "preserveLocationHeader", id="the gateway's address"),
        pytest.param("a browser", Answer(status=200), "FORWARDED", id="a page"),
        pytest.param("a WebSocket", Answer(status=401), None, id="a handshake"),
        pytest.param("a WebSocket", Answer(status=302), "Sec-WebSocket-Key", id="a handshake as a page"),
        pytest.param("/.gateway/", Answer(status=200, body=b'{"keys":[]}'), None, id="own paths"),
        pytest.param("/.gateway/", Answer(status=200, body=b"<html>"), "server.listen", id="own paths at the app"),
        pytest.param("/.gateway/", Answer(status=401), "server.listen", id="own paths asked about"),
        pytest.param("no way around by /../", Answer(status=400), None, id="refused"),
        pytest.param("a client cannot send X-Original-URL twice", Answer(status=403), None, id="denied"),
    ],
)  # fmt: skip
def test_a_finding_states_what_to_change(
    name: str, answer: Answer, words: str | None
) -> None:
    finding = probe(name).finding(answer)

    if words is None:
        assert finding is None
    else:
        assert words in (finding or "")
