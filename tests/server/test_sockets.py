"""Addresses are claimed by one instance, all of them or none."""

import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import CannotListen
from gateway.server.sockets import bind, bind_all
from tests.servers import free_port


@pytest.fixture
def short() -> Iterator[Path]:
    # A socket's path must fit 108 bytes.
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        yield Path(folder)


def test_a_port_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(CannotListen) as caught:
            bind(address)

    assert str(caught.value) == f"cannot listen on {address}: address already in use"


@pytest.mark.parametrize("workers", [False, True])
def test_each_listener_with_port_0_has_a_port_of_its_own(workers: bool) -> None:
    address = "127.0.0.1:0"
    listeners = bind_all((address, address, address), workers=workers)
    others = listeners.sibling() if workers else listeners

    ports = [listeners.take(address).ports for _ in range(3)]
    if workers:
        assert [others.take(address).ports for _ in range(3)] == ports

    with pytest.raises(KeyError):
        listeners.take(address)
    listeners.close()
    others.close()
    assert len(set(ports)) == 3
    for (port,) in ports:
        bind(f"127.0.0.1:{port}").close()  # none was left open


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("192.0.2.1:8080", "cannot assign requested address"),
        ("unix:/nonexistent/gw.sock", "no such file or directory"),
    ],
)
def test_an_address_that_cannot_be_used_is_reported(address: str, why: str) -> None:
    with pytest.raises(CannotListen) as caught:
        bind(address)

    assert re.match(f"cannot listen on {re.escape(address)}: {why}", str(caught.value))


@pytest.mark.parametrize("running", [False, True], ids=["alone", "with workers"])
@pytest.mark.parametrize("starting", [False, True], ids=["alone", "with workers"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_claimed_port_is_refused_to_the_next(
    running: bool, starting: bool, host: str
) -> None:
    port = free_port()
    first = bind(f"127.0.0.1:{port}", workers=running)

    with pytest.raises(CannotListen):
        bind(f"{host}:{port}", workers=starting)

    first.close()
    bind(f"{host}:{port}", workers=starting).close()


def test_workers_of_one_instance_have_sockets_of_their_own() -> None:
    first = bind("127.0.0.1:0", workers=True)
    second = first.sibling()

    assert first.ports == second.ports
    first.close()
    with socket.create_connection(("127.0.0.1", second.ports[0])):
        pass
    second.close()


def test_instances_share_a_port_if_both_say_so() -> None:
    address = f"127.0.0.1:{free_port()}"
    first = bind(address, share=True)
    second = bind(address, share=True)

    with pytest.raises(CannotListen):
        bind(address)

    first.close()
    second.close()


def test_if_one_address_is_in_use_none_is_kept(short: Path) -> None:
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen):
            bind_all(
                (f"unix:{short}/a", f"127.0.0.1:{free}", f"127.0.0.1:{port}"),
                workers=True,
            )

    assert list(short.iterdir()) == []
    bind(f"127.0.0.1:{free}").close()


def test_a_worker_closes_its_sockets_and_leaves_the_file(short: Path) -> None:
    listeners = bind_all((f"unix:{short}/a",))
    worker = listeners.sibling()
    worker.close()

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{short}/a")
    listeners.close()
    listeners.remove_files()
    listeners.remove_files()
    assert list(short.iterdir()) == []


def test_the_kernel_probes_an_accepted_connection_that_is_silent() -> None:
    port = free_port()
    listening = bind(f"127.0.0.1:{port}")

    with socket.create_connection(("127.0.0.1", port)):
        [one] = listening.sockets
        one.setblocking(True)
        accepted, _ = one.accept()

    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    accepted.close()
    listening.close()
