"""The name server in a guest's namespace."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dnslib import QTYPE, RCODE, RR, DNSRecord
from dnslib import A as Address4

from dockerlab.network.messages import EndpointPlan, NetworkPlan
from tests.support.networks import Guest, NetworkService, run_here

INTERNAL = NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",), is_internal=True)
DEAD = "192.0.2.77"


@contextmanager
def _upstream(address: str, answer: Callable[[DNSRecord], bytes | None]) -> Iterator[list[str]]:
    """Serve names on the host; gives the names that were asked for."""
    asked: list[str] = []
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    datagrams.bind((address, 53))
    streams = socket.create_server((address, 53))

    def run_datagrams() -> None:
        with contextlib.suppress(OSError):
            while True:
                data, client = datagrams.recvfrom(4096)
                if not data:
                    return
                query = DNSRecord.parse(data)
                asked.append(str(query.q.qname))
                if reply := answer(query):
                    datagrams.sendto(reply, client)

    def run_streams() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = streams.accept()
                with connection:
                    length = int.from_bytes(connection.recv(2), "big")
                    query = DNSRecord.parse(connection.recv(length))
                    asked.append(str(query.q.qname))
                    reply = answer(query) or b""
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)

    threads = [threading.Thread(target=t, daemon=True) for t in (run_datagrams, run_streams)]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        for sock in (datagrams, streams):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        datagrams.close()
        streams.close()


def _fixed(query: DNSRecord) -> bytes:
    reply = query.reply()
    reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=Address4("198.51.100.7"), ttl=60))
    return bytes(reply.pack())


def _wait_for_silence(guest: Guest) -> None:
    """Ask until an answer comes, as a resolver does."""
    for _ in range(5):
        with contextlib.suppress(TimeoutError):
            guest.ask("guest2", timeout_s=2)
            return
    pytest.fail("no answer at all")


def test_names_of_a_network_are_answered_over_both_protocols(service: NetworkService) -> None:
    service.guest(2, names=("web", "alias"))
    guest = service.guest(3, upstreams=())
    for is_stream in (False, True):
        for name in ("web", "ALIAS."):
            assert str(guest.ask(name, is_stream=is_stream).a.rdata) == "10.111.0.2"
    reverse = guest.ask("2.0.111.10.in-addr.arpa", "PTR")
    assert str(reverse.a.rdata) == "web."
    assert guest.ask("web", "AAAA").rr == []


def test_a_program_in_the_guest_can_have_port_53(service: NetworkService) -> None:
    guest = service.guest(2, upstreams=())
    with guest.inside():
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.bind(("0.0.0.0", 53))
                assert str(guest.ask("guest2").a.rdata) == "10.111.0.2"


def test_a_guest_that_goes_takes_its_name_along(service: NetworkService) -> None:
    other, guest = service.guest(2), service.guest(3, upstreams=())
    assert guest.ask("guest2").header.rcode == RCODE.NOERROR
    service.close(other)
    assert guest.ask("guest2").header.rcode == RCODE.SERVFAIL


def test_names_follow_the_networks_of_a_guest(service: NetworkService) -> None:
    service.sync(
        NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",)),
        NetworkPlan(id="bb0002", interfaces=("10.112.0.1/24",)),
    )
    service.guest(2, "bb0002", subnet="10.112.0", names=("far",))
    guest = service.guest(2, upstreams=())
    assert guest.ask("far").header.rcode == RCODE.SERVFAIL
    place = EndpointPlan(network="bb0002", interface="eth1", addresses=("10.112.0.9/24",))
    service.join(guest, place)
    assert str(guest.ask("far").a.rdata) == "10.112.0.2"
    service.leave(guest, "bb0002")
    assert guest.ask("far").header.rcode == RCODE.SERVFAIL


def test_a_shared_name_goes_round(service: NetworkService) -> None:
    for number in (2, 3, 4):
        service.guest(number, names=(f"g{number}", "web"))
    guest = service.guest(5, upstreams=())
    first = {str(guest.ask("web").rr[0].rdata) for _ in range(6)}
    assert first == {"10.111.0.2", "10.111.0.3", "10.111.0.4"}


def test_other_names_are_asked_of_the_hosts_servers(service: NetworkService) -> None:
    with _upstream("127.0.0.53", _fixed) as asked:
        guest = service.guest(2, upstreams=("127.0.0.53",))
        for is_stream in (False, True):
            assert str(guest.ask("example.org", is_stream=is_stream).a.rdata) == "198.51.100.7"
        assert asked == ["example.org.", "example.org."]


def test_each_guest_has_its_own_servers(service: NetworkService) -> None:
    with _upstream("127.0.0.53", _fixed) as first, _upstream("127.0.0.54", _fixed) as second:
        one = service.guest(2, upstreams=("127.0.0.53",))
        two = service.guest(3, upstreams=("127.0.0.54",))
        one.ask("one.example")
        two.ask("two.example")
        assert (first, second) == (["one.example."], ["two.example."])


def test_an_internal_network_asks_nobody_outside(service: NetworkService) -> None:
    service.sync(INTERNAL)
    with _upstream("127.0.0.53", _fixed) as asked:
        guest = service.guest(2, upstreams=("127.0.0.53",))
        for is_stream in (False, True):
            assert guest.ask("example.org", is_stream=is_stream).header.rcode == RCODE.SERVFAIL
        assert asked == []


def test_a_server_that_is_dead_is_passed_over(service: NetworkService) -> None:
    run_here("ip", "route", "add", "blackhole", DEAD)
    with _upstream("127.0.0.53", _fixed):
        guest = service.guest(2, upstreams=(DEAD, "127.0.0.53"))
        assert str(guest.ask("example.org").a.rdata) == "198.51.100.7"


def test_servers_that_say_nothing_are_a_failure_in_time(service: NetworkService) -> None:
    with _upstream("127.0.0.53", lambda _: None) as asked:
        guest = service.guest(2, upstreams=("127.0.0.53", "127.0.0.53"))
        since_s = time.monotonic()
        assert guest.ask("example.org", timeout_s=20).header.rcode == RCODE.SERVFAIL
        assert time.monotonic() - since_s < 10
        assert len(asked) == 2


def test_an_answer_that_somebody_guesses_is_not_taken(service: NetworkService) -> None:
    def guess(query: DNSRecord) -> bytes:
        query.header.id ^= 1
        return _fixed(query)

    with _upstream("127.0.0.53", guess):
        guest = service.guest(2, upstreams=("127.0.0.53",))
        assert guest.ask("example.org", timeout_s=20).header.rcode == RCODE.SERVFAIL


@pytest.mark.parametrize(
    "data", [b"", b"x", b"\0" * 11, b"\xff" * 600, b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"]
)
def test_noise_harms_nobody(service: NetworkService, data: bytes) -> None:
    guest = service.guest(2, upstreams=())
    with contextlib.suppress(TimeoutError, OSError):
        guest.ask_raw(data, timeout_s=0.2)
    with contextlib.suppress(TimeoutError, OSError):
        guest.ask_raw(data, is_stream=True, timeout_s=0.2)
    assert str(guest.ask("guest2").a.rdata) == "10.111.0.2"
    assert service.log == ""


def test_a_thousand_questions_at_once_are_answered(service: NetworkService) -> None:
    guest = service.guest(2, upstreams=())
    with guest.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
        sock.connect(("127.0.0.11", 53))
    with sock:
        for number in range(1000):
            question = DNSRecord.question("guest2")
            question.header.id = number
            sock.send(question.pack())
        sock.settimeout(20)
        answered = {DNSRecord.parse(sock.recv(512)).header.id for _ in range(1000)}
    assert answered == set(range(1000))


def test_who_floods_does_not_silence_others(service: NetworkService) -> None:
    hostile, guest = service.guest(2, upstreams=(DEAD,)), service.guest(3, upstreams=())
    run_here("ip", "route", "add", "192.0.2.0/24", "dev", "lo")
    is_over = threading.Event()
    with hostile.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.11", 53))
        streams = [socket.create_connection(("127.0.0.11", 53)) for _ in range(40)]

    def flood() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            with contextlib.suppress(OSError):
                sock.send(DNSRecord.question(f"n{number}.example").pack())

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        time.sleep(1)
        for is_stream in (False, True):
            since_s = time.monotonic()
            assert str(guest.ask("guest2", is_stream=is_stream).a.rdata) == "10.111.0.2"
            assert time.monotonic() - since_s < 4
        rss_kib = _memory_kib(service.hello.pid)
        assert rss_kib < 120_000
    finally:
        is_over.set()
        thread.join()
        sock.close()
        for stream in streams:
            stream.close()
    _wait_for_silence(guest)


def test_without_descriptors_a_question_fails_and_the_next_is_answered(
    service: NetworkService,
) -> None:
    with _upstream("127.0.0.53", _fixed):
        guest = service.guest(2, upstreams=("127.0.0.53",))
        with service.without_descriptors():
            assert guest.ask("example.org").header.rcode == RCODE.SERVFAIL
        assert str(guest.ask("example.org").a.rdata) == "198.51.100.7"


def _memory_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")
