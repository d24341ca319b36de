import base64
import logging

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.redact import MASK, Redactor
from tests.observe.lines import Lines

TOKEN = "q2V5_1Zb0mT8h3Jr7uXoKc4DpLwYsNfEaGvItQxRz9M"  # 43 characters
JWT = "eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJ1XzEifQ.c2lnbmF0dXJlLWJ5dGVz"
PEM = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"gateway_session={TOKEN}; theme=dark", TOKEN),
        (f"token {TOKEN!r} of", TOKEN),
        (f"{TOKEN}{TOKEN}", TOKEN),
        (f"Bearer {JWT}", JWT),
        (f"bearer {JWT[:12]}", JWT[:12]),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("headers={'authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
        ("(b'Authorization': b'Basic dXNlcjpwYXNz')", "dXNlcjpwYXNz"),
        ("Cookie: a=short; b=also", "short"),
        ("(b'cookie', b'a=short')", "short"),
        ("Set-Cookie: a=short", "short"),
        ("redis://default:hunter2@db:6379/0", "hunter2"),
        ("rediss://:p%40ss@db", "p%40ss"),
        (f"jwt {JWT}.", JWT.split(".")[2]),
        (PEM, "MIGHAgEAMBMGByqGSM49"),
        ("key -----BEGIN EC PRIVATE KEY-----\nMIGHAgEA", "MIGHAgEA"),
    ],
)
def test_what_has_the_form_of_a_secret_is_masked(text: str, secret: str) -> None:
    masked = Redactor().text(text)

    assert secret not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "text",
    [
        "session expired after 30 minutes",
        "basic authentication is off",
        "http://127.0.0.1:3000/dashboard",
        "redis://127.0.0.1:6379/0",
        "request 5f0c8a2e9d4b4c6f8a1e7b3d2c9f0a61",
        "gateway:session:" + "0123456789abcdef" * 4,
        "/srv/app/a_rather_long_module_name_that_goes_on_and_on_for_ever.py",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert Redactor().text(text) == text


def test_a_public_key_id_may_look_like_a_token() -> None:
    event = Redactor()(None, "info", {"kid": TOKEN, "other": TOKEN})

    assert event == {"kid": TOKEN, "other": MASK}


def test_a_secret_known_by_value_is_masked_in_any_form() -> None:
    redactor = Redactor(["let-me-in", "ab"])

    assert redactor.text("admin said let-me-in, abc") == f"admin said {MASK}, abc"


class Careless:
    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return f"<Careless {self.secret}>"


def fail(text: str) -> None:
    raise ValueError(text)


def nest(value: object, depth: int) -> object:
    return value if depth == 0 else {"inner": [nest(value, depth - 1)]}


@given(
    secret=st.binary(min_size=32, max_size=32).map(
        lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    ),
    before=st.text(st.sampled_from(" ='\";:,/(\n\t"), min_size=1, max_size=5),
    after=st.text(st.sampled_from(" ='\";:,/)\n\t"), min_size=1, max_size=5),
    depth=st.integers(min_value=0, max_value=9),
)
def test_a_session_token_never_reaches_the_log(
    secret: str, before: str, after: str, depth: int
) -> None:
    """Wherever someone puts it: message, field, key, bytes, object, traceback."""
    lines = Lines(level="debug")
    log = structlog.get_logger()
    text = before + secret + after
    log.info(text)
    log.info("x", value=text, nested=nest(text, depth), raw=text.encode())
    log.info("x", value=nest({text: 1}, depth), object=Careless(text))
    log.info("x", cookie=secret[:20], Authorization=secret[:20], pair=(1, [text]))
    logging.getLogger("library").error("failed %s", text)
    try:
        fail(text)
    except ValueError:
        log.exception("it failed")
        logging.getLogger("library").exception("it failed")

    written = lines.raw()
    assert secret.encode() not in written
    assert secret[:20].encode() not in written
    assert written.count(b"\n") == 7
    assert all(orjson.loads(line) for line in written.splitlines())
