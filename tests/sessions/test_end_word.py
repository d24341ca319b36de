"""The word that keeps the reason of an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reasons import Reason
from gateway.sessions.cookie import cookie_spec
from gateway.sessions.end_word import ENDS, end_cookies, forget_end, read_end

SPEC = cookie_spec(
    name="s", secure=True, same_site="lax", domain=None, persistent=False
)


@given(st.lists(st.binary() | st.just(b"gateway_ended=session_idle"), max_size=3))
def test_any_cookies_give_a_reason_of_an_end_or_none(fields: list[bytes]) -> None:
    assert read_end(fields) in ENDS | {None}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="none"),
        pytest.param([b"gateway_ended"], id="no value"),
        pytest.param([b"gateway_ended="], id="empty"),
        pytest.param([b"gateway_ended=no_session"], id="no end"),
        pytest.param([b"gateway_ended=Session_Revoked"], id="another case"),
        pytest.param([b'gateway_ended="session_revoked"'], id="quoted"),
        pytest.param([b"Gateway_Ended=session_revoked"], id="another name"),
        pytest.param([b"xgateway_ended=session_revoked"], id="a longer name"),
        pytest.param(
            [b"gateway_ended=session_idle; gateway_ended=session_revoked"],
            id="two that disagree",
        ),
        pytest.param(
            [b"gateway_ended=session_idle", b"gateway_ended=x"], id="two fields"
        ),
    ],
)
def test_what_is_not_one_known_word_is_none(fields: list[bytes]) -> None:
    assert read_end(fields) is None


@pytest.mark.parametrize("reason", sorted(ENDS))
def test_each_word_is_read_as_it_is_set(reason: Reason) -> None:
    value = end_cookies(SPEC)[reason]

    pair, _, attributes = value.partition("; ")
    assert read_end([b"a=b; " + pair.encode() + b"; c=d"]) is reason
    assert read_end([pair.encode(), pair.encode()]) is reason
    assert attributes == "Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=300"


def test_it_is_removed_by_the_attributes_that_it_is_set_with() -> None:
    spec = cookie_spec(
        name="s", secure=False, same_site="none", domain="a.test", persistent=True
    )

    (kept, *_) = end_cookies(spec).values()
    assert forget_end(spec) == (
        "gateway_ended=; Path=/; Domain=a.test; HttpOnly; SameSite=None; Max-Age=0"
    )
    assert "; Path=/; Domain=a.test; HttpOnly; SameSite=None; " in kept
