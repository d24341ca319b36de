"""Cookies of other libraries, read raw: hostile rows first."""

import base64
import hmac
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reasons import Reason
from gateway.sessions.cookie import Malformed, NoCookie
from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.credential import (
    Credential,
    other_credential,
    read_credential,
)
from gateway.sessions.formats.profile import Profile
from gateway.sessions.formats.settings import FormatSettings
from gateway.sessions.formats.signatures import Signature, verifier
from tests.sessions.formats.scenarios import SCENARIOS

ID = "0123456789abcdef0123456789abcdef"
SECRETS = ("a first secret of ours", "an older secret of ours")
STARSESSIONS = compile_format(FormatSettings(format="starsessions"))
AUTHJS = compile_format(FormatSettings(format="authjs"))
EXPRESS = compile_format(FormatSettings(format="express-session", secrets=SECRETS))
BETTER_AUTH = compile_format(FormatSettings(format="better-auth", secrets=SECRETS))
PROFILES = [STARSESSIONS, AUTHJS, EXPRESS, BETTER_AUTH]


def signature(value: str, secret: str = SECRETS[0]) -> str:
    digest = hmac.digest(secret.encode(), value.encode(), "sha256")
    return base64.b64encode(digest).decode()


def custom(value: str = "plain", **profile: str) -> Profile:
    stated = {"id": "[A-Za-z0-9_-]{8,64}", "key": "s:{id}", "identity": "$.id"}
    return compile_format(
        FormatSettings(
            format="json",
            cookie_name="sid",
            cookie_value=value,
            profile={**stated, **profile},
        )
    )


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([f"session={ID}; session={ID}"], id="twice-equal"),
        pytest.param([f"session={ID}", f"session={ID}"], id="twice-in-two-fields"),
        pytest.param([f"session=; session={ID}"], id="an-empty-one-before"),
        pytest.param([f"t=1, session={ID}"], id="behind-a-comma"),
        pytest.param([f"t=1 session={ID}"], id="behind-a-space"),
        pytest.param([f"t=1\tsession ={ID}"], id="behind-a-tab"),
        pytest.param([f"session={ID}, session={ID}"], id="two-by-a-comma"),
        pytest.param([f'session="{ID}; t=2"; session={ID}'], id="in-quotes"),
        pytest.param([f'session="{ID}"'], id="quoted"),
        pytest.param(["session="], id="empty"),
        pytest.param(["session=''"], id="as-the-library-clears-it"),
        pytest.param([f"session={ID.upper()}"], id="upper-case"),
        pytest.param([f"session={ID}0"], id="long"),
        pytest.param([f"session={ID[:-1]}"], id="short"),
        pytest.param([f"session={ID[:-1]}\n"], id="line-end"),
        pytest.param([f"session={ID}%00"], id="escape-where-none-is-read"),
        pytest.param(["session=" + "0" * 100_000], id="endless"),
        pytest.param(["session=\xff" + ID[1:]], id="not-ascii"),
        pytest.param(["session=" + "٠" * 32], id="other-digits"),
    ],
)
def test_a_cookie_that_is_no_id_is_malformed(fields: list[str]) -> None:
    reported = read_credential(STARSESSIONS, [field.encode() for field in fields])

    assert isinstance(reported, Malformed)
    assert reported.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="no-field"),
        pytest.param([""], id="an-empty-field"),
        pytest.param([f"Session={ID}"], id="another-case"),
        pytest.param([f"xsession={ID}; sessionx={ID}"], id="longer-names"),
        pytest.param([f"__Host-session={ID}"], id="a-prefix-is-another-name"),
        pytest.param(["session"], id="a-name-alone"),
        pytest.param(["t=xsession=1"], id="inside-a-value"),
    ],
)
def test_no_cookie_of_the_name_is_no_session(fields: list[str]) -> None:
    reported = read_credential(STARSESSIONS, [field.encode() for field in fields])

    assert isinstance(reported, NoCookie)


def test_a_key_of_another_kind_cannot_be_named() -> None:
    cookie = b"authjs.session-token=by-user-id:d1d0dbfb-f0d8-4b17-a5a7-cbe5f4f14860"

    assert isinstance(read_credential(AUTHJS, [cookie]), Malformed)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(ID, "bad_signature", id="unsigned"),
        pytest.param(f"{ID}.", "bad_signature", id="empty-signature"),
        pytest.param(f".{signature('')}", "bad_signature", id="empty-id"),
        pytest.param(f"{ID}.{signature(ID)}", None, id="genuine"),
        pytest.param(quote(f"{ID}.{signature(ID)}"), None, id="genuine-escaped"),
        pytest.param(
            f"{ID}.{signature(ID).rstrip('=')}", "bad_signature", id="unpadded"
        ),
        pytest.param(f"{ID}.{signature(ID)}=", "bad_signature", id="padded-twice"),
        pytest.param(
            f"{ID}.{signature(ID, SECRETS[1])}", "bad_signature", id="second-secret"
        ),
        pytest.param(f"{ID}.%zz", "malformed", id="bad-escape"),
        pytest.param(f"{ID}.%f0%9f", "malformed", id="escaped-bytes"),
        pytest.param(f"a:b.{signature('a:b')}", "malformed", id="signed-but-no-id"),
    ],
)
def test_better_auth_takes_what_its_first_secret_signed(
    value: str, reason: str | None
) -> None:
    reported = read_credential(
        BETTER_AUTH, [b"better-auth.session_token=" + value.encode()]
    )

    assert (reported.reason if isinstance(reported, Malformed) else None) == reason


@pytest.mark.parametrize("secret", SECRETS)
def test_every_secret_of_express_verifies(secret: str) -> None:
    value = quote(f"s:{ID}.{signature(ID, secret).rstrip('=')}", safe="")

    reported = read_credential(EXPRESS, [b"connect.sid=" + value.encode()])

    assert isinstance(reported, Credential)
    assert reported.record_key == f"sess:{ID}"


def test_flask_session_verifies_when_a_secret_is_given() -> None:
    """The signature follows the formula that itsdangerous publishes."""
    profile = compile_format(
        FormatSettings(
            format="flask-session", secrets=("flask-fixture-secret-2f1e0d9c8b7a",)
        )
    )
    sid = "K6gkxRb41Q7CcmGJFxyFx4FQG5WQfadWvQ5CqNo9Lr4"
    derived = hmac.digest(
        b"flask-fixture-secret-2f1e0d9c8b7a", b"flask-session", "sha1"
    )
    signed = base64.urlsafe_b64encode(hmac.digest(derived, sid.encode(), "sha1"))

    good = read_credential(profile, [f"session={sid}.".encode() + signed.rstrip(b"=")])
    bare = read_credential(profile, [f"session={sid}".encode()])

    assert isinstance(good, Credential)
    assert isinstance(bare, Malformed)


@pytest.mark.parametrize(
    ("encoded", "found"),
    [
        pytest.param(base64.b64encode(b"an-id-of-ours"), True, id="standard-padded"),
        pytest.param(base64.b64encode(b"an-id-of-ours")[:-2], True, id="unpadded"),
        pytest.param(base64.urlsafe_b64encode(b"an-id-of-ours"), True, id="urlsafe"),
        pytest.param(b"YW4taWQtb2Ytb3Vyct==", False, id="spare-bits"),
        pytest.param(b"YW4taWQtb2Yt*3Vycw==", False, id="other-signs"),
        pytest.param(b"=", False, id="padding-alone"),
        pytest.param(base64.b64encode(b"\xff" * 9), False, id="bytes"),
    ],
)
def test_base64_cookies_are_read_canonically(encoded: bytes, found: bool) -> None:
    reported = read_credential(custom("base64"), [b"sid=" + encoded])

    assert isinstance(reported, Credential) == found


def test_a_hashed_key_holds_no_id() -> None:
    reported = read_credential(custom(key="s:{sha256:id}"), [b"sid=12345678"])

    assert isinstance(reported, Credential)
    assert reported.record_key == f"s:{reported.key}"
    assert reported.fingerprint == reported.key[:12]


def test_another_credential_next_to_the_cookie_is_named() -> None:
    headers = [(b"Accept", b"*/*"), (b"AUTHORIZATION", b"Bearer x")]

    assert other_credential(BETTER_AUTH, headers) == b"authorization"
    assert other_credential(BETTER_AUTH, headers[:1]) is None
    assert other_credential(EXPRESS, headers) is None


@given(fields=st.lists(st.binary(max_size=200), max_size=3))
def test_any_bytes_give_a_value(fields: list[bytes]) -> None:
    for profile in PROFILES:
        reported = read_credential(profile, fields)
        assert isinstance(reported, Credential | NoCookie | Malformed)


@given(value=st.binary(max_size=200))
def test_any_cookie_value_gives_a_value(value: bytes) -> None:
    for profile in [*PROFILES, custom("base64"), custom("percent")]:
        reported = read_credential(profile, [profile.cookie_name + b"=" + value])
        assert isinstance(reported, Credential | NoCookie | Malformed)


@given(at=st.integers(0, 200), other=st.integers(0, 255))
def test_no_byte_of_a_signed_cookie_may_change(at: int, other: int) -> None:
    """Unless the change is another spelling of the same escape."""
    for scenario in SCENARIOS:
        if scenario.id not in ("better_auth/default", "express_session/custom_maxage"):
            continue
        profile, cookie = _PROFILES[scenario.id], _COOKIES[scenario.id]
        genuine = read_credential(profile, [cookie])
        changed = bytearray(cookie)
        changed[at % len(cookie)] = other
        reported = read_credential(profile, [bytes(changed)])

        assert isinstance(genuine, Credential)
        if isinstance(reported, Credential):
            assert reported.value == genuine.value


_PROFILES = {each.id: each.profile for each in SCENARIOS if each.settings.secrets}
_COOKIES = {each.id: each.cookie for each in SCENARIOS}


UNPADDED = [
    pytest.param(f"{ID}.{signature(ID).rstrip('=')}", True, id="genuine"),
    pytest.param(f"{ID}.{signature(ID)}", False, id="padded"),
    pytest.param(f"s:{ID}.{signature(ID).rstrip('=')}", False, id="prefix"),
    pytest.param(
        f"{ID}.{signature(ID, 'another secret 123').rstrip('=')}", False, id="other"
    ),
    pytest.param(ID, False, id="unsigned"),
]


@pytest.mark.parametrize(("value", "genuine"), UNPADDED)
def test_a_signature_without_padding(value: str, genuine: bool) -> None:
    check = verifier(Signature.HMAC_SHA256_UNPADDED, SECRETS[:1], salt="")

    assert (check.open(value) == ID) is genuine
