"""What the demo puts together, short of the gateway itself."""

import signal
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from gateway.demo.run import Ports, demo_file, free_ports
from gateway.embedded.child import ServerProcess, dying_with_us, private_folder
from gateway.errors import EmbeddedUnavailable
from tests.conftest import LeftTheMachine
from tests.servers import free_port


def listening() -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", free_port()))
    taken.listen()
    return taken


def test_a_port_that_is_taken_is_replaced_by_a_free_one() -> None:
    with closing(listening()) as taken:
        port = taken.getsockname()[1]

        ports = free_ports(Ports(gateway=port, admin=port, app=0, api=0))

    chosen = {ports.gateway, ports.admin, ports.app, ports.api}
    assert len(chosen) == 4
    assert port not in chosen


def test_a_port_that_is_free_is_kept() -> None:
    port = free_port()

    assert free_ports(Ports(gateway=port, admin=0, app=0, api=0)).gateway == port


def test_the_demo_finds_its_files_in_a_checkout() -> None:
    assert demo_file("demo.yaml", "config/demo.yaml").is_file()
    assert list(demo_file("sql", "deploy/postgres").glob("*.sql"))


def test_a_missing_program_is_reported_and_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.embedded.child.shutil.which", lambda _: None)
    folder = private_folder("gateway-test-")

    with pytest.raises(EmbeddedUnavailable, match="the thing did not start"):
        ServerProcess(name="the thing", argv=["/nowhere/at-all"], folder=folder)

    assert not folder.exists()


def test_without_setpriv_a_command_runs_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.embedded.child.shutil.which", lambda _: None)

    assert dying_with_us(["true", "x"], sent=signal.SIGINT) == ["true", "x"]


def test_a_part_by_itself_shows_whether_something_listens() -> None:
    with closing(listening()) as taken:
        port = str(taken.getsockname()[1])
        ping = [sys.executable, "-m", "gateway.demo", "ping", "--port", port]
        yes = subprocess.run(ping, check=False, capture_output=True)
    no = subprocess.run(ping, check=False, capture_output=True)

    assert (yes.returncode, no.returncode) == (0, 1)


@pytest.mark.parametrize(
    "address", [("192.0.2.1", 80), ("2001:db8::1", 80), ("198.51.100.7", 443)]
)
def test_no_test_leaves_the_machine(address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET

    with socket.socket(family) as client, pytest.raises(LeftTheMachine):
        client.connect(address)


def test_no_test_asks_for_a_name_elsewhere() -> None:
    with pytest.raises(LeftTheMachine):
        socket.getaddrinfo("www.example.com", 443)
