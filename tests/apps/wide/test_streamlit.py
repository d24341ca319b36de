"""A Streamlit app behind the gateway: docs/apps/streamlit.md."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.apps.stand import Stand

pytestmark = pytest.mark.browser

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
def streamlit(run: Callable[[str], Stand]) -> Stand:
    return run("streamlit")


def test_no_socket_without_a_session_or_from_another_site(streamlit: Stand) -> None:
    evil = HANDSHAKE | {"Origin": "http://evil.example"}

    plain = streamlit.ask("GET", "/_stcore/stream", HANDSHAKE)
    foreign = streamlit.ask("GET", "/_stcore/stream", evil, user="ada")

    assert (plain.status, foreign.status) == (401, 403)


def test_a_widget_answers_and_a_file_arrives(streamlit: Stand, page: Page) -> None:
    streamlit.open(page, "/", "zoe")
    expect(page.get_by_text("Signed in as Zo\u00eb B\u00e9b\u00e9")).to_be_visible()
    page.get_by_label("Number").fill("12")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Its square is 144")).to_be_visible()
    upload = {
        "name": "\u00e9t\u00e9 50%.bin",
        "mimeType": "x/y",
        "buffer": b"x" * 3_000_000,
    }
    page.locator("input[type=file]").set_input_files(upload)  # type: ignore[arg-type]
    expect(page.get_by_text("has 3000000 bytes")).to_be_visible()


def test_the_end_of_the_session_ends_the_app(streamlit: Stand, page: Page) -> None:
    streamlit.open(page, "/", "ada")
    expect(page.get_by_text("Its square is 0")).to_be_visible()
    other = page.context.new_page()
    other.goto(f"{streamlit.url}/.gateway/account")
    other.get_by_role("button", name="Sign out").first.click()
    other.wait_for_url(lambda url: "account" not in url)

    expect(page.get_by_text("Connecting").first).to_be_visible()
    expect(page.get_by_label("Number")).to_be_disabled()
