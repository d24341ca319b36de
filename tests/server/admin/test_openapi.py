"""The admin API as `gateway run` serves it, by requests made up from its document."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PATIENCE, Server, free_port, valkey_server
from tests.walk.harness import ADMIN_TOKEN, base_config, gateway_process

HERE = Path(__file__).parent
PROGRAM = Path(sys.executable).parent / "schemathesis"
SHORT = 3


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.mark.needs("schemathesis", "valkey")
async def test_no_request_finds_an_answer_that_the_document_does_not_promise(
    tmp_path: Path, redis: Server, request: pytest.FixtureRequest
) -> None:
    examples = request.config.getoption("--api-examples")
    admin = f"127.0.0.1:{free_port()}"
    config = base_config(free_port())
    # Requests without the token are a part of it, and more than an address may send.
    config["server"] |= {"admin": admin, "guessing": None}
    config["sessions"] = {"extend_within": "6h"}
    arguments = [
        *("--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"http://{admin}/openapi.json", "--url", f"http://{admin}"),
        *("--header", f"Authorization: Bearer {ADMIN_TOKEN}"),
        *("--phases", "coverage,fuzzing" + (",stateful" if examples > SHORT else "")),
        *("--max-examples", str(examples), "--continue-on-failure", "--no-color"),
        # The same requests each time, but in the long form.
        *(("--seed", "1") if examples <= SHORT else ()),
    ]

    async with gateway_process(config, tmp_path, redis.url) as gateway:
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *arguments,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        stated, _ = await asyncio.wait_for(
            process.communicate(), 3 * PATIENCE + 4.0 * examples
        )

    text = stated.decode()
    assert process.returncode == 0, text
    assert "No issues found" in text
    assert [line for line in gateway.lines if line["log.level"] == "error"] == []
