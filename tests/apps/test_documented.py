"""What apps are sent that no registry has: the headers that their own settings name."""

import re
from pathlib import Path

import pytest
import yaml

from gateway.sessions.record import Identity
from tests.apps.recipe import APPS, DOCUMENTED, read_recipe
from tests.servers import Server
from tests.walk.harness import BROWSER, RecordingUpstream, ask, running_gateway

pytestmark = pytest.mark.walk

ZOE = Identity(
    id="u_zoe",
    traits={
        "email": "zoe@example.com",
        "name": "Zo\u00eb",
        "username": "zoe",
        "grafana_role": "Editor",
    },
    roles=("staff",),
)
VALUES = {"zoe@example.com", "Zo\u00eb", "zoe", "Editor"}


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
async def test_each_header_that_the_app_reads_is_sent_and_none_of_a_client(
    name: str, redis: Server, tmp_path: Path
) -> None:
    page = (APPS / f"{name}.md").read_text(encoding="utf-8")
    settings = page[page.index("```ini\n") : page.index("```yaml\n")]
    read = set(re.findall(r"X-WEBAUTH-\w+", settings))
    config = yaml.safe_load(read_recipe(name).yaml)
    config["server"] |= {"listen": "127.0.0.1:0", "admin": None}
    config["redis"] = {"timeout": "10s"}
    upstream = RecordingUpstream()
    await upstream.start()
    config["upstreams"][name]["url"] = f"http://127.0.0.1:{upstream.port}"
    forged = dict.fromkeys([*read, "x_webauth_user", "X-WEBAUTH-GROUPS"], "admin")

    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = {"Cookie": await gateway.sign_in(identity=ZOE)}
        host = "localhost:8080"
        reply = await ask(
            gateway.port, "GET", "/a%2Fb", BROWSER | forged | cookie, host=host
        )
        plain = await ask(gateway.port, "GET", "/", BROWSER | forged, host=host)
    await upstream.stop()

    sent = [(n, v) for n, v in upstream.last.headers if "webauth" in n.lower()]
    assert (reply.status, plain.status, len(upstream.seen)) == (200, 302, 1)
    assert {n.lower() for n, _ in sent} == {n.lower() for n in read}
    assert {v.encode("latin-1").decode() for _, v in sent} <= VALUES
