"""Networks without root: an unprivileged user, its own namespaces, and the way out of them."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockerlab.kernel.fds import OwnedFd
from dockerlab.network import namespaces
from dockerlab.network.links import set_loopback_up
from tests.support.accounts import Account, unprivileged_account
from tests.support.engine import wait_until
from tests.support.networks import echo_server, run_here
from tests.support.probes import why_not

WORLD = "192.0.2.2"
_LOCAL_PORT, _WORLD_PORT, _PUBLISHED = 7001, 7002, 8080

# What an engine's user does: a holder with new namespaces, a service in them, two containers.
SCRIPT = r"""
import asyncio, json, os, socket, sys
from pathlib import Path
from dockerlab.kernel import constants, syscalls
from dockerlab.kernel.fds import send_message
from dockerlab.network.client import NetworkClient
from dockerlab.network.messages import EndpointPlan, NetworkPlan, PortPlan, SandboxPlan
from dockerlab.network.namespaces import inside

folder = Path(sys.argv[1])
uid, gid = os.getuid(), os.getgid()
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(str(folder / "holder"))
listener.listen()
holder = os.fork()
if holder == 0:
    syscalls.unshare(constants.CLONE_NEWUSER | constants.CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    fds = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in ("user", "net")]
    client, _ = listener.accept()
    send_message(client, b"{}", fds)
    client.recv(1)
    os._exit(0)

PROBE = '''
import ctypes, os, socket, sys
user, net = (os.open(path, os.O_RDONLY) for path in sys.argv[1:3])
libc = ctypes.CDLL(None, use_errno=True)
assert libc.setns(user, 0x10000000) == 0 and libc.setns(net, 0x40000000) == 0
try:
    with socket.create_connection((sys.argv[3], int(sys.argv[4])), timeout=5) as sock:
        sock.sendall(b"x")
        print(sock.recv(1) == b"x")
except ConnectionRefusedError:
    print("refused")
except OSError:
    print(False)
'''

def reach(namespace, address, port):
    import subprocess
    fd = namespace.number
    done = subprocess.run(
        [sys.executable, "-c", PROBE, f"/proc/{holder}/ns/user", f"/proc/self/fd/{fd}", address,
         str(port)], pass_fds=[fd], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr

def plan(number, ports=()):
    place = EndpointPlan(network="aa0001", interface="eth0", addresses=(f"10.111.0.{number}/24",),
                         gateways=("10.111.0.1",), names=(f"guest{number}",))
    return SandboxPlan(id=f"g{number}", endpoints=(place,), ports=ports, upstreams=())

async def main():
    log = os.open(folder / "log", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
    client = NetworkClient(folder / "service", "7e57ab1e", log, folder / "holder")
    hello = await client.connect()
    await client.sync([NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",))])
    port = PortPlan(protocol="tcp", address="127.0.0.1", host_port=8080, port=80)
    one, ports = await client.open(plan(2, (port,)))
    two, _ = await client.open(plan(3))
    found = {
        "firewall": hello.firewall, "uplink": hello.uplink, "lack": hello.uplink_lack,
        "neighbour": reach(one, "10.111.0.3", 1),
        "world": reach(one, "192.0.2.2", 7002),
        "hosts own": reach(one, "10.0.2.2", 7001),
        "published": "",
    }
    try:
        socket.create_connection(("127.0.0.1", ports[0]), timeout=5).recv(1)
    except ConnectionResetError:
        found["published"] = "joined"  # nobody listens in the container
    try:
        await client.open(plan(4, (PortPlan(protocol="tcp", address="", host_port=80, port=80),)))
    except Exception as error:
        found["low port"] = str(error)
    print(json.dumps(found))
    for number in (2, 3):
        await client.close_sandbox(f"g{number}")
    client.close()

asyncio.run(main())
os.waitpid(holder, 0)
"""


@contextmanager
def _world() -> Iterator[None]:
    """Give the host a neighbour, and the way to everything over it."""
    run_here("ip", "link", "add", "up0", "type", "veth", "peer", "name", "peer0")
    process = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
    try:
        run_here("ip", "address", "add", "192.0.2.1/24", "dev", "up0")
        run_here("ip", "link", "set", "up0", "up")
        run_here("ip", "route", "add", "default", "via", WORLD)
        with namespaces.own() as here:
            _wait_for_namespace(process.pid, here)
        run_here("ip", "link", "set", "peer0", "netns", str(process.pid))
        with OwnedFd(_open_namespace(process.pid)) as number:
            set_loopback_up(number)
            with namespaces.inside(number):
                run_here("ip", "address", "add", f"{WORLD}/24", "dev", "peer0")
                run_here("ip", "link", "set", "peer0", "up")
                server = echo_server(WORLD, _WORLD_PORT)
                server.__enter__()
        with echo_server("127.0.0.1", _LOCAL_PORT):
            yield
        server.__exit__(None, None, None)
    finally:
        process.kill()
        process.wait()


def _open_namespace(pid: int) -> int:
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _processes(account: Account) -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError):
            found += [path] if path.stat().st_uid == account.uid else []
    return found


def _wait_for_namespace(pid: int, here: int) -> None:
    def is_apart() -> bool:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino != os.fstat(here).st_ino

    wait_until(is_apart, "a namespace of its own")


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    for marker in ("needs_root", "needs_namespaces", "needs_rootless"):
        if reason := why_not(marker):
            pytest.skip(f"{marker}: {reason}")
    with unprivileged_account(has_sub_ids=False) as made:
        yield made


def _run(account: Account, tmp_path: Path, path: str) -> dict[str, str]:
    folder = account.home / tmp_path.name
    folder.mkdir()
    shutil.chown(folder, account.uid, account.gid)
    done = subprocess.run(
        [account.python, "-c", SCRIPT, str(folder)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=account.environ | {"PATH": path},
        **account.identity,
    )
    log = (folder / "log").read_text(encoding="utf-8") if (folder / "log").exists() else ""
    assert done.returncode == 0, f"{done.stderr}\n{log}"
    found: dict[str, str] = json.loads(done.stdout)
    return found | {"log": log}


def _folder_with(tmp_path: Path, *names: str) -> str:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in names:
        program = shutil.which(name)
        if program is None:
            pytest.skip(f"needs_uplink: {name} is not installed")
        (folder / name).symlink_to(program)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if parent != Path("/tmp"):
            parent.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("program", ["slirp4netns", "pasta"])
def test_guests_reach_the_world_through_it_and_not_the_hosts_own_services(
    host: None, account: Account, tmp_path: Path, program: str
) -> None:
    with _world():
        found = _run(account, tmp_path, _folder_with(tmp_path, program))
    assert found["uplink"] == program, found
    assert found["firewall"] == "nftables"
    assert found["neighbour"] == "refused"
    assert found["world"] == "True", found
    assert found["hosts own"] != "True"
    assert found["published"] == "joined"
    wait_until(lambda: not _processes(account), "all that the user ran to end")


def test_without_a_program_guests_reach_each_other_and_ports_are_published(
    host: None, account: Account, tmp_path: Path
) -> None:
    with _world():
        found = _run(account, tmp_path, _folder_with(tmp_path))
    assert found["uplink"] == ""
    assert "neither pasta nor slirp4netns is installed; install the package" in found["lack"]
    assert found["neighbour"] == "refused"
    assert found["world"] == "False"
    assert found["published"] == "joined"


def test_ports_that_the_user_may_not_have_are_refused_with_the_way_out(
    host: None, account: Account, tmp_path: Path
) -> None:
    run_here("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=1024")
    with _world():
        found = _run(account, tmp_path, _folder_with(tmp_path))
    assert "this user may not have ports below 1024" in found["low port"]
