"""`gateway demo` as a user starts it, and Chromium in front of it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.servers import PATIENCE, free_port

ROOT = Path(__file__).parents[2]
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    # Names that are not this machine do not resolve.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo: where it is, and what it has said so far."""

    url: str
    admin: str
    output: list[str]

    @property
    def has_notes(self) -> bool:
        return not any("No notes in this demo" in line for line in self.output)


@pytest.fixture(scope="package")
def demo() -> Iterator[Demo]:
    ports = [free_port() for _ in range(4)]
    names = ("--port", "--admin-port", "--app-port", "--api-port")
    chosen = [
        word for pair in zip(names, map(str, ports), strict=True) for word in pair
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", *chosen],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    output: list[str] = []
    reported = threading.Event()

    def listen(lines: IO[str]) -> None:
        for line in lines:
            output.append(line)
            if "Ctrl-C stops everything" in line:
                reported.set()
        reported.set()

    ear = threading.Thread(target=listen, args=(process.stdout,), daemon=True)
    ear.start()
    try:
        assert reported.wait(2 * PATIENCE), "".join(output)
        assert process.poll() is None, "".join(output)
        yield Demo(
            url=f"http://localhost:{ports[0]}",
            admin=f"http://127.0.0.1:{ports[1]}",
            output=output,
        )
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait()
        ear.join(PATIENCE)
        process.stdout.close()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE * 1000)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=SWITCHES,
            timeout=2 * PATIENCE * 1000,
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, demo: Demo) -> Iterator[Page]:
    context = chromium.new_context(base_url=demo.url)
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))

    def listen(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            wrong.append(message.text)

    page.on("console", listen)
    yield page
    context.close()
    assert wrong == []
