"""Whatever a provider sends is a value or a SignInFailed; nothing else is raised."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.oidc.authorization import read_answer
from gateway.oidc.discovery import is_safe_url, read_metadata
from gateway.oidc.failure import SignInFailed, UnknownKey
from gateway.oidc.settings import Endpoints
from gateway.oidc.token import read_tokens
from gateway.reasons import ROWS, Reason


def outcome(read: Callable[..., Any], *arguments: Any) -> Any:
    """What a reader returns, or the failure that it raises."""
    try:
        return read(*arguments)
    except SignInFailed as failure:
        return failure


@given(st.binary(max_size=300))
def test_any_bytes_of_discovery(raw: bytes) -> None:
    found = outcome(read_metadata, raw, "https://id.example", Endpoints())

    assert found.reason is Reason.PROVIDER_BAD_ANSWER


@given(st.integers(100, 599), st.binary(max_size=300))
def test_any_bytes_of_a_token_endpoint(status: int, raw: bytes) -> None:
    found = outcome(read_tokens, status, raw)

    assert ROWS[found.reason].status in {502, 503}


@given(st.text(max_size=300))
def test_any_query_of_an_answer(query: str) -> None:
    found = outcome(read_answer, query)

    if isinstance(found, SignInFailed):
        assert found.reason is Reason.PROVIDER_BAD_ANSWER
    else:
        assert found.state


@given(st.text(max_size=60))
def test_any_text_as_an_endpoint(text: str) -> None:
    for url in (text, f"https://{text}", f"http://127.0.0.1{text}"):
        if is_safe_url(url):
            assert url.startswith(("https://", "http://127.0.0.1", "http://localhost"))


def test_the_message_is_bounded_and_an_unknown_key_is_a_failure() -> None:
    failure = UnknownKey(Reason.ID_TOKEN_INVALID, "x" * 1000)

    assert isinstance(failure, SignInFailed)
    assert len(str(failure)) == 300
