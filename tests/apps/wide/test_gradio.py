"""A Gradio app behind the gateway, with its queue: docs/apps/gradio.md."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.apps.stand import Stand

pytestmark = pytest.mark.browser


@pytest.fixture
def gradio(run: Callable[[str], Stand]) -> Stand:
    return run("gradio")


@pytest.mark.parametrize(
    "path", ["/config", "/gradio_api/info", "/gradio_api/queue/data"]
)
def test_nothing_without_a_session(gradio: Stand, path: str) -> None:
    assert gradio.ask("GET", path, {"X-Auth-Name": "Ada"}).status == 401


def test_a_result_streams_and_a_file_arrives(gradio: Stand, page: Page) -> None:
    gradio.open(page, "/", "zoe")
    page.get_by_label("Text").fill("a text that is longer than twenty characters")
    page.get_by_role("button", name="Run").click()

    expect(page.get_by_label("Answer")).to_have_value(
        "Zo\u00eb B\u00e9b\u00e9: a text that is longer than twenty characters"
    )
    upload = {
        "name": "\u00e9t\u00e9 50%; #2.bin",
        "mimeType": "x/y",
        "buffer": b"x" * 300_000,
    }
    page.locator("input[type=file]").first.set_input_files(upload)  # type: ignore[arg-type]
    expect(page.get_by_label("Size")).to_have_value("300000")


def test_a_program_calls_it(gradio: Stand) -> None:
    cookie = {"Cookie": gradio.cookie("ada"), "Content-Type": "application/json"}
    begun = gradio.ask(
        "POST", "/gradio_api/call/greet", cookie, b'{"data": ["by a program"]}'
    )
    event = begun.json()["event_id"]

    events = gradio.ask("GET", f"/gradio_api/call/greet/{event}", cookie)

    assert "event: complete" in events.text
    assert "Ada Lovelace: by a program" in events.text
