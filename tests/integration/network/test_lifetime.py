"""How long the service lives, and what a new one takes over from a killed one."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockerlab.errors import EngineFailure
from dockerlab.network.messages import NetworkPlan, PortPlan
from tests.support.engine import wait_until
from tests.support.networks import MARK, NetworkService, echo_server, run_here

NETWORK = NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",))
PORT = PortPlan(protocol="tcp", address="127.0.0.1", host_port=8080, port=80)


@contextmanager
def _sleeper() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    process = subprocess.Popen(["sleep", "100"])
    pidfd = os.pidfd_open(process.pid)
    try:
        yield process, pidfd
    finally:
        os.close(pidfd)
        process.kill()
        process.wait()


def test_a_guest_whose_process_ends_is_closed_whoever_is_there(service: NetworkService) -> None:
    guest, other = service.guest(2, ports=(PORT,)), service.guest(3, upstreams=())
    with _sleeper() as (process, pidfd):
        service.watch(guest, pidfd)
        assert other.ask("guest2").rr
        service.let_go()  # the daemon has ended
        process.kill()
        wait_until(lambda: not _is_open(8080), "the port to be closed")
    service.connect()
    assert guest.plan.id not in service.hello.sandboxes
    assert not other.ask("guest2").rr


def test_it_outlives_the_daemon_while_a_guest_needs_it(service: NetworkService) -> None:
    guest = service.guest(2, upstreams=(), ports=(PORT,))
    pid = service.hello.pid
    service.let_go()
    time.sleep(0.3)
    assert guest.ask("guest2").rr
    assert _is_open(8080)
    assert service.connect().pid == pid
    assert service.hello.sandboxes == (guest.plan.id,)


def test_connections_and_names_go_on_while_daemons_come_and_go(service: NetworkService) -> None:
    guest = service.guest(2, upstreams=(), ports=(PORT,))
    with contextlib.ExitStack() as stack:
        with guest.inside():
            stack.enter_context(echo_server("0.0.0.0", 80))
        client = stack.enter_context(socket.create_connection(("127.0.0.1", 8080), timeout=10))
        for _ in range(3):
            service.let_go()
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            service.connect()
            service.sync(NETWORK)
            client.sendall(b"y")
            assert client.recv(1) == b"y"
            assert guest.ask("guest2").rr
    assert service.guest(3).can_reach(guest.address)


def test_a_new_service_takes_over_what_a_killed_one_had(service: NetworkService) -> None:
    guest = service.guest(2, upstreams=(), ports=(PORT,))
    neighbour = service.guest(3, upstreams=())
    first = service.hello.pid
    service.kill()
    # Links and rules are the kernel's; they need no process.
    assert guest.can_reach(neighbour.address)
    assert service.connect().pid != first
    assert service.hello.sandboxes == ()
    service.sync(NETWORK)
    assert guest.can_reach(neighbour.address)
    for each in (guest, neighbour):
        service.open(each.plan, each.namespace.number)
    assert guest.can_reach(neighbour.address)
    assert str(neighbour.ask("guest2").a.rdata) == guest.address
    with contextlib.ExitStack() as stack:
        with guest.inside():
            stack.enter_context(echo_server("0.0.0.0", 80))
        with socket.create_connection(("127.0.0.1", 8080), timeout=10) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
    # And it can change what it did not make.
    service.leave(guest, "aa0001")
    assert not neighbour.can_reach(guest.address)


def test_a_takeover_before_the_networks_are_known_is_fine(service: NetworkService) -> None:
    guest = service.guest(2, upstreams=())
    service.kill()
    service.connect()
    service.open(guest.plan, guest.namespace.number)
    service.sync(NETWORK)
    assert guest.ask("guest2").rr
    assert guest.can_reach("10.111.0.1")


def test_without_daemon_and_guests_it_ends_and_the_next_begins_anew(
    host: None, tmp_path: Path
) -> None:
    for _ in range(2):
        with NetworkService(tmp_path) as service:
            service.sync(NETWORK)
            service.guest(2)
    assert service.log == ""
    assert not list(tmp_path.glob("*.sock"))


def test_a_socket_that_a_killed_one_left_is_no_obstacle(host: None, tmp_path: Path) -> None:
    with NetworkService(tmp_path) as service:
        service.kill()
        assert (tmp_path / f"{MARK}.sock").exists()
        service.connect()
        service.sync(NETWORK)
        assert service.guest(2).can_reach("10.111.0.1")


def test_a_killed_service_is_an_error_for_who_asks_next(service: NetworkService) -> None:
    os.kill(service.hello.pid, 9)
    with pytest.raises(EngineFailure, match="the network service has ended"):
        service.sync(NETWORK)
    with pytest.raises(EngineFailure, match="the network service is not connected"):
        service.sync(NETWORK)


def test_the_usual_signals_do_not_end_it(service: NetworkService) -> None:
    for number in (1, 2, 15):
        os.kill(service.hello.pid, number)
    assert service.guest(2).can_reach("10.111.0.1")


def test_nobody_else_may_speak_to_it(service: NetworkService, tmp_path: Path) -> None:
    assert (tmp_path / f"{MARK}.sock").stat().st_mode & 0o777 == 0o600


def test_what_is_prepared_goes_with_its_network(service: NetworkService) -> None:
    first = service.guest(2)
    service.close(first)
    first.close()
    service.sync()
    wait_until(lambda: "veth" not in run_here("ip", "-d", "link"), "prepared links to go")
    service.sync(NetworkPlan(id="aa0001", interfaces=("10.119.0.1/24",)))
    guest = service.guest(2, subnet="10.119.0")
    assert guest.can_reach("10.119.0.1")


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
