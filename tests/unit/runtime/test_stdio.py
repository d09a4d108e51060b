"""The streams of a process with pipes and sockets in place of the process and its clients."""

import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from dockerlab.runtime.loop import Loop
from dockerlab.runtime.stdio import Stdio

CONGESTED = 1 << 20


class Bench:
    """A Stdio whose process is this test."""

    def __init__(self, *, ends_with_client: bool = True) -> None:
        self.loop = Loop()
        self.first: list[float] = []
        self.ends = 0
        self.stdio = Stdio(
            self.loop,
            ends_with_client=ends_with_client,
            log=None,
            on_first_byte=self.first.append,
        )
        self.stdin, stdin_end = os.pipe()
        out_end, self.stdout = os.pipe()
        err_end, self.stderr = os.pipe()
        os.set_blocking(self.stdin, False)
        self.clients: list[socket.socket] = []
        self.stdio.connect_pipes(stdin_end, {out_end: 1, err_end: 2})

    def attach(self, *, multiplexed: bool = False, leftover: str = "") -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        streams = {"stdin": True, "stdout": True, "stderr": True}
        request = {**streams, "is_multiplexed": multiplexed, "leftover": leftover}
        self.stdio.attach(theirs.detach(), request)
        self.clients.append(ours)
        return ours

    def turn(self, times: int = 20) -> None:
        """Let the loop do what can be done now."""
        for _ in range(times):
            self.loop.call_later(0.001, self.loop.stop)
            self.loop.run()

    def finish(self) -> None:
        self.stdio.finish(0.05, self._ended)

    def _ended(self) -> None:
        self.ends += 1

    def close(self) -> None:
        self.stdio.drop_clients()
        for client in self.clients:
            client.close()
        for fd in (self.stdin, self.stdout, self.stderr):
            try:
                os.close(fd)
            except OSError:
                continue
        self.loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def received(read: Callable[[], bytes]) -> bytes:
    data = b""
    while True:
        try:
            more = read()
        except BlockingIOError:
            return data
        if not more:
            return data
        data += more


def test_output_reaches_every_client(bench: Bench) -> None:
    plain, framed = bench.attach(), bench.attach(multiplexed=True)
    os.write(bench.stdout, b"out")
    bench.turn()

    assert received(lambda: plain.recv(100)) == b"out"
    assert received(lambda: framed.recv(100)) == struct.pack(">BxxxL", 1, 3) + b"out"
    assert len(bench.first) == 1


def test_a_slow_client_stops_the_reading_and_a_lost_one_frees_it(bench: Bench) -> None:
    slow = bench.attach()
    os.set_blocking(bench.stdout, False)
    written = 0
    for _ in range(200):
        with contextlib.suppress(BlockingIOError):
            written += os.write(bench.stdout, b"x" * 65536)
        bench.turn(2)

    assert CONGESTED < bench.stdio.queued_bytes < 2 * CONGESTED
    assert written < 3 * CONGESTED
    slow.close()
    bench.turn()
    assert os.write(bench.stdout, b"y" * 65536) == 65536


def test_input_and_leftover_arrive_in_order(bench: Bench) -> None:
    client = bench.attach(leftover="first ")
    client.sendall(b"second")
    bench.turn()

    assert received(lambda: os.read(bench.stdin, 100)) == b"first second"


def test_the_end_of_a_client_is_the_end_of_input(bench: Bench) -> None:
    client = bench.attach()
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    bench.turn()

    assert os.read(bench.stdin, 100) == b"last"
    assert os.read(bench.stdin, 100) == b""
    os.write(bench.stdout, b"answer")
    bench.turn()
    assert client.recv(100) == b"answer"


def test_the_end_of_a_client_is_not_when_input_stays_open() -> None:
    bench = Bench(ends_with_client=False)
    bench.attach().shutdown(socket.SHUT_WR)
    bench.turn()

    with pytest.raises(BlockingIOError):
        os.read(bench.stdin, 1)
    bench.close()


def test_the_end_reads_what_is_left_and_closes_the_clients(bench: Bench) -> None:
    client = bench.attach()
    os.write(bench.stdout, b"left")
    os.close(bench.stdout)
    os.close(bench.stderr)
    bench.finish()
    bench.turn()

    client.settimeout(5)
    assert (client.recv(100), client.recv(100)) == (b"left", b"")
    assert bench.ends == 1
    assert not bench.stdio.has_clients


def test_somebody_who_keeps_the_pipe_is_not_waited_for(bench: Bench) -> None:
    bench.finish()
    while not bench.ends:
        bench.turn(1)

    assert bench.ends == 1


def test_who_attaches_behind_the_end_sees_it(bench: Bench) -> None:
    os.close(bench.stdout)
    os.close(bench.stderr)
    bench.finish()
    client = bench.attach()
    client.settimeout(5)

    assert client.recv(1) == b""


def test_input_without_a_reader_is_thrown_away(bench: Bench) -> None:
    client = bench.attach()
    os.close(bench.stdin)
    client.settimeout(5)
    for _ in range(64):
        client.sendall(b"x" * 4096)
        bench.turn(2)

    os.write(bench.stdout, b"fine")
    bench.turn()
    assert client.recv(100) == b"fine"
