"""Published ports: connections and datagrams through the service into a guest."""

import contextlib
import os
import resource
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockerlab.errors import Conflict, InvalidArgument
from dockerlab.network.datagrams import CLIENTS
from dockerlab.network.messages import EndpointPlan, NetworkPlan, PortPlan
from tests.support.engine import wait_until
from tests.support.networks import Guest, NetworkService, echo_server, run_here, serve_streams

RESET = struct.pack("ii", 1, 0)


def _port(
    port: int = 80, address: str = "127.0.0.1", host_port: int = 0, protocol: str = "tcp"
) -> PortPlan:
    return PortPlan(protocol=protocol, address=address, host_port=host_port, port=port)


def _connect(guest: Guest, timeout_s: float = 20.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", guest.ports[0]), timeout=timeout_s)


@pytest.fixture
def guest(service: NetworkService) -> Guest:
    return service.guest(2, ports=(_port(),))


@contextmanager
def _echo_in(guest: Guest, address: str = "0.0.0.0", port: int = 80) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with guest.inside():
            stack.enter_context(echo_server(address, port))
        yield


def _read_all(sock: socket.socket) -> bytes:
    parts = []
    while data := sock.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)


def test_bytes_go_there_and_back(guest: Guest) -> None:
    with _echo_in(guest), _connect(guest) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert _read_all(client) == b"hello"


def test_a_program_that_listens_at_its_own_address_is_reached(guest: Guest) -> None:
    with _echo_in(guest, guest.address), _connect(guest) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


def test_large_data_arrives_whole_in_both_directions(guest: Guest) -> None:
    data = os.urandom(1 << 20) * 16
    with _echo_in(guest), _connect(guest) as client:

        def send() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        assert _read_all(client) == data
        thread.join()


def test_each_half_closes_on_its_own(guest: Guest) -> None:
    def answer_after_the_end(connection: socket.socket) -> None:
        connection.sendall(str(len(_read_all(connection))).encode())

    def speak_first_and_listen_then(connection: socket.socket) -> None:
        connection.sendall(b"first")
        connection.shutdown(socket.SHUT_WR)
        heard.append(_read_all(connection))

    heard: list[bytes] = []
    with contextlib.ExitStack() as stack:
        with guest.inside():
            stack.enter_context(serve_streams("0.0.0.0", 80, answer_after_the_end))
        with _connect(guest) as client:
            client.sendall(b"abc")
            client.shutdown(socket.SHUT_WR)
            assert _read_all(client) == b"3"
    with contextlib.ExitStack() as stack:
        with guest.inside():
            stack.enter_context(serve_streams("0.0.0.0", 80, speak_first_and_listen_then))
        with _connect(guest) as client:
            assert _read_all(client) == b"first"
            client.sendall(b"second")
            client.shutdown(socket.SHUT_WR)
            wait_until(lambda: heard == [b"second"], "the second half to be heard")


def test_a_reset_is_told_to_the_other_side(guest: Guest) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    with contextlib.ExitStack() as stack:
        with guest.inside():
            stack.enter_context(serve_streams("0.0.0.0", 80, reset))
        with _connect(guest) as client:
            client.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_a_clients_reset_reaches_the_guest_even_while_it_does_not_read(guest: Guest) -> None:
    ended = threading.Event()

    def be_busy(connection: socket.socket) -> None:
        poll_until_broken(connection)
        ended.set()

    def poll_until_broken(connection: socket.socket) -> None:
        import select

        poll = select.poll()
        poll.register(connection, 0)
        poll.poll(20_000)

    with contextlib.ExitStack() as stack:
        with guest.inside():
            stack.enter_context(serve_streams("0.0.0.0", 80, be_busy))
        client = _connect(guest)
        client.setblocking(False)  # noqa: FBT003
        _fill(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
        assert ended.wait(20)


def _fill(sock: socket.socket) -> int:
    """Send until nothing is taken for a while; returns the bytes."""
    sent, last_s = 0, time.monotonic()
    while time.monotonic() - last_s < 0.5:
        try:
            sent += sock.send(bytes(1 << 20))
            last_s = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    return sent


def test_nobody_listening_is_a_refusal(guest: Guest) -> None:
    # The reset may be there before connect(2) returns.
    with pytest.raises(ConnectionResetError), _connect(guest) as client:
        client.recv(1)


def test_a_reader_that_is_slow_holds_back_who_writes(service: NetworkService, guest: Guest) -> None:
    go_on = threading.Event()
    counts: list[int] = []

    def read_late(connection: socket.socket) -> None:
        go_on.wait(30)
        counts.append(len(_read_all(connection)))

    with contextlib.ExitStack() as stack:
        with guest.inside():
            stack.enter_context(serve_streams("0.0.0.0", 80, read_late))
        with _connect(guest) as client:
            before = _processor_s(service.hello.pid)
            client.setblocking(False)  # noqa: FBT003
            sent = _fill(client)
            assert sent < 64 << 20
            time.sleep(0.5)
            assert _processor_s(service.hello.pid) - before < 2.0  # and nobody spins meanwhile
            go_on.set()
            client.setblocking(True)  # noqa: FBT003
            client.shutdown(socket.SHUT_WR)
            wait_until(lambda: counts == [sent], "all of it to be read")


def test_a_thousand_connections_at_once(guest: Guest) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients: list[socket.socket] = []
    try:
        with _echo_in(guest):
            clients.extend(_connect(guest, 30) for _ in range(1000))
            for number, client in enumerate(clients):
                client.sendall(struct.pack("!I", number))
            for number, client in enumerate(clients):
                assert struct.unpack("!I", client.recv(4)) == (number,)
            for client in clients:
                client.close()
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_that_ended_leave_nothing(service: NetworkService, guest: Guest) -> None:
    before = service.count_descriptors()
    with _echo_in(guest):
        for _ in range(300):
            with _connect(guest) as client:
                client.sendall(b"x")
                client.recv(1)
        # Some pipes are kept for the next connections.
        limit = before + 2 * 64
        wait_until(lambda: service.count_descriptors() <= limit, "descriptors to be given back")
    service.close(guest)
    with pytest.raises(ConnectionRefusedError):
        _connect(guest)


def test_without_descriptors_nobody_spins_and_connections_come_later(
    service: NetworkService, guest: Guest
) -> None:
    pid = service.hello.pid
    with _echo_in(guest), contextlib.ExitStack() as stack:
        with service.without_descriptors():
            client = stack.enter_context(_connect(guest))
            client.sendall(b"x")
            before = _processor_s(pid)
            time.sleep(2)
            assert _processor_s(pid) - before < 0.5
        assert client.recv(1) == b"x"
    assert service.log.count("Too many open files") in (1, 2)  # once each thing, not once a try


def test_the_end_of_a_guest_ends_its_connections(service: NetworkService, guest: Guest) -> None:
    with _echo_in(guest), _connect(guest) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        service.close(guest)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_port_leads_to_the_network_that_is_left(service: NetworkService) -> None:
    service.sync(
        NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",)),
        NetworkPlan(id="bb0002", interfaces=("10.112.0.1/24",)),
    )
    guest = service.guest(2, ports=(_port(),))
    place = EndpointPlan(network="bb0002", interface="eth1", addresses=("10.112.0.7/24",))
    service.join(guest, place)
    service.leave(guest, "aa0001")
    with _echo_in(guest), _connect(guest) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    service.leave(guest, "bb0002")
    with contextlib.suppress(OSError), _connect(guest) as client:
        assert client.recv(1) == b""


def test_ipv6_has_a_listener_of_its_own(service: NetworkService) -> None:
    guest = service.guest(2, ports=(_port(address="0.0.0.0"), _port(address="::1")))
    with _echo_in(guest):
        for address, port in zip(("127.0.0.1", "::1"), guest.ports, strict=True):
            with socket.create_connection((address, port), timeout=10) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("::1", guest.ports[0]), timeout=10)


def test_the_same_number_for_both_versions(service: NetworkService) -> None:
    guest = service.guest(
        2, ports=(_port(address="0.0.0.0", host_port=8080), _port(address="::", host_port=8080))
    )
    assert guest.ports == [8080, 8080]


def test_a_port_that_is_taken_is_refused_and_nothing_stays(service: NetworkService) -> None:
    taken = service.guest(2, ports=(_port(host_port=8080),))
    with pytest.raises(Conflict, match=r"127\.0\.0\.1:8080/tcp: port is already allocated"):
        service.guest(3, ports=(_port(host_port=8081), _port(host_port=8080)))
    # The first of its ports, its name and its address are free again.
    guest = service.guest(3, ports=(_port(host_port=8081),), upstreams=())
    assert taken.can_reach(guest.address)
    service.close(taken)
    assert service.guest(4, ports=(_port(host_port=8080),)).ports == [8080]


def test_an_address_that_the_host_has_not_is_refused(service: NetworkService) -> None:
    with pytest.raises(InvalidArgument, match="this host does not have the address"):
        service.guest(2, ports=(_port(address="192.0.2.99"),))


@contextmanager
def _datagram_echo(guest: Guest, port: int = 53) -> Iterator[None]:
    with guest.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("0.0.0.0", port))

    def run() -> None:
        while True:
            data, client = sock.recvfrom(65535)
            if data == b"end":
                return
            sock.sendto(data.upper(), client)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        with guest.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", ("127.0.0.1", port))
        thread.join(5)
        sock.close()


def test_datagrams_find_their_clients(service: NetworkService) -> None:
    guest = service.guest(2, ports=(_port(53, protocol="udp"),))
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
    with _datagram_echo(guest):
        for number, client in enumerate(clients):
            client.settimeout(10)
            client.sendto(f"c{number}".encode(), ("127.0.0.1", guest.ports[0]))
        for number, client in enumerate(clients):
            assert client.recv(100) == f"C{number}".encode()
            client.close()


def test_a_datagram_of_any_size_is_one(service: NetworkService) -> None:
    guest = service.guest(2, ports=(_port(53, protocol="udp"),))
    with _datagram_echo(guest), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(("127.0.0.1", guest.ports[0]))
        for size in (0, 1, 1472, 65507):
            client.send(b"x" * size)
            assert client.recv(65535) == b"X" * size


def test_clients_without_end_are_so_many_at_most(service: NetworkService) -> None:
    guest = service.guest(2, ports=(_port(53, protocol="udp"),))
    with _datagram_echo(guest):
        for number in range(CLIENTS + 300):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(10)
                client.sendto(b"x", ("127.0.0.1", guest.ports[0]))
                if number % 100 == 0:
                    assert client.recv(10) == b"X"
        wait_until(lambda: _sockets(service) < CLIENTS + 100, "clients to be forgotten")
        service.close(guest)
        wait_until(lambda: _sockets(service) < 100, "all clients to be forgotten")


def test_a_guest_that_does_not_listen_loses_datagrams_and_gets_the_next(
    service: NetworkService,
) -> None:
    guest = service.guest(2, ports=(_port(53, protocol="udp"),))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(("127.0.0.1", guest.ports[0]))
        for _ in range(3):
            client.send(b"lost")
            time.sleep(0.05)
        with _datagram_echo(guest):
            client.send(b"got")
            assert client.recv(10) == b"GOT"
    assert service.log == ""


def test_programs_of_others_are_served_as_fast_as_they_ask(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(bytes(3 << 20))
    with guest.inside():
        server = subprocess.Popen(
            ["busybox", "httpd", "-f", "-p", "80", "-h", str(tmp_path)],
        )
    try:
        url = f"http://127.0.0.1:{guest.ports[0]}/page"
        wait_until(lambda: b"tcp" in _listening(guest), "the server to listen")
        target = tmp_path / "got"
        for _ in range(3):
            run_here("wget", "-q", "-O", str(target), url)
            assert target.stat().st_size == 3 << 20
    finally:
        server.terminate()
        server.wait()


def _listening(guest: Guest) -> bytes:
    return guest.run("ss", "-Hltn", "sport = :80").replace("LISTEN", "tcp").encode()


def _sockets(service: NetworkService) -> int:
    return service.count_descriptors("socket")


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
