"""A host of its own for a test: a network namespace, a service in it, and guests on its networks.

The thread of the test is in the namespace while the test runs, and so is whatever it starts; the
interfaces and rules of the real host are never touched.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from dnslib import DNSRecord

from dockerlab.kernel.fds import OwnedFd
from dockerlab.network import namespaces
from dockerlab.network.client import NetworkClient
from dockerlab.network.links import set_loopback_up
from dockerlab.network.messages import EndpointPlan, Hello, NetworkPlan, PortPlan, SandboxPlan

__all__ = [
    "MARK",
    "Guest",
    "NetworkService",
    "can_reach",
    "echo_server",
    "host_namespace",
    "plan_of",
    "run_here",
    "serve_streams",
]

MARK = "7e57ab1e"
_RESOLVER = ("127.0.0.11", 53)
_T = TypeVar("_T")


@contextmanager
def host_namespace() -> Iterator[OwnedFd]:
    """Have the calling thread in a new network namespace, with its loopback up."""
    with namespaces.make() as number:
        set_loopback_up(number)
        with namespaces.inside(number):
            yield OwnedFd(-1)


def run_here(*command: str) -> str:
    """Run a program where the calling thread is; returns what it wrote."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def can_reach(address: str) -> bool:
    """Tell whether an address can be reached from where the calling thread is."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect((address, 1))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return True


class Guest:
    """What a container would be: a namespace that the service gave."""

    def __init__(self, plan: SandboxPlan, namespace: OwnedFd, ports: list[int]) -> None:
        self.plan, self.namespace, self.ports = plan, namespace, ports

    @property
    def address(self) -> str:
        """Its first address."""
        return self.plan.endpoints[0].addresses[0].partition("/")[0]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Have the calling thread in its namespace."""
        with namespaces.inside(self.namespace.number):
            yield

    def run(self, *command: str) -> str:
        """Run a program in it; returns what it wrote."""
        with self.inside():
            return run_here(*command)

    def can_reach(self, address: str) -> bool:
        """Tell whether an address can be reached: somebody there refuses a connection, or not."""
        with self.inside():
            return can_reach(address)

    def ask(
        self, name: str, kind: str = "A", *, is_stream: bool = False, timeout_s: float = 8.0
    ) -> DNSRecord:
        """Ask its name server."""
        return DNSRecord.parse(
            self.ask_raw(DNSRecord.question(name, kind).pack(), is_stream, timeout_s)
        )

    def ask_raw(self, data: bytes, is_stream: bool = False, timeout_s: float = 8.0) -> bytes:  # noqa: FBT001, FBT002
        """Send its name server bytes; returns what comes back."""
        kind = socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM
        with self.inside():
            sock = socket.socket(socket.AF_INET, kind)
        with sock:
            sock.settimeout(timeout_s)
            sock.connect(_RESOLVER)
            if not is_stream:
                sock.send(data)
                return sock.recv(65535)
            sock.sendall(len(data).to_bytes(2, "big") + data)
            stream = sock.makefile("rb")
            answer = stream.read(int.from_bytes(stream.read(2), "big"))
            stream.close()
            return answer

    def close(self) -> None:
        """Let go of the namespace."""
        self.namespace.close()


class NetworkService:
    """A service in the namespace of the calling thread, driven as the daemon drives it."""

    def __init__(self, folder: Path, mark: str = MARK, holder: Path | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._log = os.open(folder / f"{mark}.log", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        self._log_path = folder / f"{mark}.log"
        self._client = NetworkClient(folder / f"{mark}.sock", mark, self._log, holder)
        self._guests: list[Guest] = []
        self.hello: Hello = self.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for guest in self._guests:
            with contextlib.suppress(Exception):
                self.close(guest)
            guest.close()
        self.let_go()
        self._loop.close()
        os.close(self._log)
        try:
            wait_for_end(self.hello.pid)
        except AssertionError:
            os.kill(self.hello.pid, signal.SIGKILL)
            raise

    @property
    def log(self) -> str:
        """What it has complained of."""
        return self._log_path.read_text(encoding="utf-8")

    def connect(self) -> Hello:
        """Find it or start it."""
        self.hello = self._do(self._client.connect())
        return self.hello

    def let_go(self) -> None:
        """Close the connection, as a daemon that ends does."""
        self._client.close()

    def kill(self) -> None:
        """End it as the kernel ends what uses up memory."""
        os.kill(self.hello.pid, signal.SIGKILL)
        wait_for_end(self.hello.pid)
        self._client.close()

    def count_descriptors(self, kind: str = "") -> int:
        """Count its descriptors: all, or those of a kind, ``socket`` say."""
        count = 0
        for path in Path(f"/proc/{self.hello.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                count += os.readlink(path).startswith(kind)  # noqa: PTH115 - no path: "socket:[9]"
        return count

    @contextmanager
    def without_descriptors(self) -> Iterator[None]:
        """Have the kernel refuse it any further descriptor for a while."""
        time.sleep(0.3)  # until what it prepares is prepared
        used = {int(path.name) for path in Path(f"/proc/{self.hello.pid}/fd").iterdir()}
        lowest_free = next(number for number in range(1 << 20) if number not in used)
        limits = resource.prlimit(self.hello.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.hello.pid, resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        try:
            yield
        finally:
            resource.prlimit(self.hello.pid, resource.RLIMIT_NOFILE, limits)

    def sync(self, *plans: NetworkPlan) -> None:
        """Have just these networks."""
        self._do(self._client.sync(plans))

    def open(self, plan: SandboxPlan, namespace: int | None = None) -> Guest:
        """Open a sandbox; it is closed with the service at the latest."""
        given, ports = self._do(self._client.open(plan, namespace))
        guest = Guest(plan, given, ports)
        self._guests.append(guest)
        return guest

    def guest(self, number: int, network: str = "aa0001", **settings: Any) -> Guest:
        """Open a sandbox on one network with the address of this number."""
        return self.open(plan_of(number, network, **settings))

    def watch(self, guest: Guest, pidfd: int) -> None:
        """Close it when a process ends."""
        self._do(self._client.watch(guest.plan.id, pidfd))

    def join(self, guest: Guest, endpoint: EndpointPlan) -> None:
        """Put it on one more network."""
        self._do(self._client.join(guest.plan.id, endpoint))

    def leave(self, guest: Guest, network: str) -> None:
        """Take it off a network."""
        self._do(self._client.leave(guest.plan.id, network))

    def close(self, guest: Guest) -> None:
        """Close a sandbox."""
        self._do(self._client.close_sandbox(guest.plan.id))

    def _do(self, step: Coroutine[Any, Any, _T]) -> _T:
        return self._loop.run_until_complete(asyncio.wait_for(step, 60))


def plan_of(
    number: int,
    network: str = "aa0001",
    *,
    names: Sequence[str] = (),
    ports: Sequence[PortPlan] = (),
    upstreams: tuple[str, ...] | None = None,
    subnet: str = "10.111.0",
    addresses6: Sequence[str] = (),
    gateways: Sequence[str] | None = None,
) -> SandboxPlan:
    """Return the plan of a container with one network."""
    endpoint = EndpointPlan(
        network=network,
        interface="eth0",
        addresses=(f"{subnet}.{number}/24", *addresses6),
        gateways=(f"{subnet}.1",) if gateways is None else tuple(gateways),
        names=tuple(names) or (f"guest{number}",),
    )
    return SandboxPlan(
        id=f"{network}-{number}", endpoints=(endpoint,), ports=tuple(ports), upstreams=upstreams
    )


def wait_for_end(pid: int) -> None:
    """Wait until a process of ours, or of somebody else's, has ended."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            assert _is_readable(pidfd, 20.0), f"process {pid} does not end"
        finally:
            os.close(pidfd)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _is_readable(fd: int, timeout_s: float) -> bool:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


@contextmanager
def serve_streams(address: str, port: int, handle: Any) -> Iterator[int]:
    """Serve TCP where the calling thread is: `handle` gets each connection in a thread."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family, backlog=4096)

    def converse(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            handle(connection)

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        listener.close()


def echo_server(address: str, port: int) -> contextlib.AbstractContextManager[int]:
    """Serve TCP where the calling thread is, sending back what comes."""

    def echo(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            connection.sendall(data)

    return serve_streams(address, port, echo)
