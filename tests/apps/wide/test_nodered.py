"""Node-RED behind the gateway: docs/apps/nodered.md."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.apps.stand import Stand

pytestmark = pytest.mark.browser

FLOW = [
    {"id": "f1", "type": "tab", "label": "Hello", "disabled": False},
    {
        "id": "n1",
        "type": "http in",
        "z": "f1",
        "name": "hello",
        "url": "/hello",
        "method": "get",
        "upload": False,
        "x": 120,
        "y": 80,
        "wires": [["n2"]],
    },
    {
        "id": "n2",
        "type": "http response",
        "z": "f1",
        "name": "",
        "statusCode": "203",
        "headers": {},
        "x": 320,
        "y": 80,
        "wires": [],
    },
]
DEPLOY = {"Content-Type": "application/json", "Node-RED-Deployment-Type": "full"}


@pytest.fixture
def nodered(run: Callable[[str], Stand]) -> Stand:
    return run("nodered")


def test_no_header_of_a_client_deploys(nodered: Stand) -> None:
    forged = DEPLOY | {"X-NodeRED-User": "u_ada admin", "x_nodered_user": "u_ada admin"}
    body = json.dumps(FLOW).encode()

    plain = nodered.ask("POST", "/editor/flows", forged, body)
    staff = nodered.ask("POST", "/editor/flows", forged, body, user="zoe")
    directly = nodered.ask("GET", "/editor/flows", port=nodered.app_port)

    assert (plain.status, staff.status, directly.status) == (401, 401, 401)
    assert nodered.ask("GET", "/editor/flows", user="zoe").status == 200


def test_an_admin_deploys_in_the_editor_and_the_flow_answers(
    nodered: Stand, page: Page
) -> None:
    set_flow = nodered.ask(
        "POST", "/editor/flows", DEPLOY, json.dumps(FLOW).encode(), user="ada"
    )
    nodered.open(page, "/editor/", "ada")
    page.wait_for_function("window.RED && RED.nodes && RED.nodes.node('n2')")
    page.keyboard.press("Escape")
    page.evaluate("""() => {
        const node = RED.nodes.node("n2");
        node.statusCode = "207"; node.changed = true; node.dirty = true;
        RED.nodes.dirty(true);
    }""")
    page.locator("#red-ui-header-button-deploy").click()

    expect(page.get_by_text("Successfully deployed").first).to_be_visible()
    assert set_flow.status == 204
    assert nodered.ask("GET", "/hooks/hello").status == 207


def test_its_socket_belongs_to_the_session(nodered: Stand, page: Page) -> None:
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    nodered.open(page, "/editor/", "zoe")
    page.wait_for_function("window.RED && RED.comms")
    with page.expect_websocket(lambda socket: socket.url.endswith("/comms")) as found:
        page.reload()
    other = page.context.new_page()
    other.goto(f"{nodered.url}/.gateway/account")

    with found.value.expect_event("close"):
        other.get_by_role("button", name="Sign out").first.click()
