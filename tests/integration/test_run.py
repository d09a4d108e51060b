"""Programs in containers: what they see, what they may do, how they end."""

import platform
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, ContainerError

from tests.support.engine import EngineUnderTest
from tests.support.images import HELLO_TEXT

DEFAULT_CAPABILITIES = 0xA80425FB  # moby, oci/caps/defaults.go: 14 of them


def _run(client: docker.DockerClient, script: str, **options: Any) -> str:
    output: bytes = client.containers.run("busybox", ["sh", "-c", script], remove=True, **options)
    return output.decode()


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def test_hello_world_says_hello(client: docker.DockerClient) -> None:
    client.images.pull("hello-world", tag="latest")

    assert client.containers.run("hello-world", remove=True).decode() == HELLO_TEXT


def test_the_image_says_what_runs_as_whom_and_where(client: docker.DockerClient) -> None:
    client.images.pull("user", tag="latest")

    lines = client.containers.run("user", remove=True).decode().splitlines()

    assert lines == ["from cmd", "1234", "1234 5000", "/made/by/workdir", "blue /home/lab"]


def test_flags_win_over_the_image(client: docker.DockerClient) -> None:
    client.images.pull("user", tag="latest")

    lines = client.containers.run(
        "user",
        ["given"],
        remove=True,
        user="0:5",
        working_dir="/tmp",
        environment={"COLOUR": "red", "HOME": "/elsewhere"},
    )

    assert lines.decode().splitlines() == ["given cmd", "0", "5", "/tmp", "red /elsewhere"] or (
        lines.decode().splitlines()[1:] == ["0", "5", "/tmp", "red /elsewhere"]
    )


@pytest.mark.parametrize(
    ("command", "status", "phrase"),
    [
        (["/no/such/program"], 127, "no such file or directory"),
        (["not-in-path"], 127, "executable file not found"),
        (["/etc/passwd-"], 127, "no such file or directory"),
        (["/tmp"], 126, "permission denied"),
    ],
)
def test_a_program_that_cannot_be_executed(
    client: docker.DockerClient, command: list[str], status: int, phrase: str
) -> None:
    container = client.containers.create("busybox", command)

    with pytest.raises(APIError) as refused:
        container.start()

    assert refused.value.status_code == 400
    assert phrase in str(refused.value.explanation)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == status


def test_a_failing_program_gives_its_status(client: docker.DockerClient) -> None:
    with pytest.raises(ContainerError) as failed:
        _run(client, "echo why >&2; exit 6")

    assert failed.value.exit_status == 6


def test_every_namespace_is_its_own(client: docker.DockerClient) -> None:
    names = ["ipc", "mnt", "net", "pid", "uts"]
    inside = _run(client, "; ".join(f"readlink /proc/self/ns/{name}" for name in names)).split()
    outside = [str(Path(f"/proc/self/ns/{name}").readlink()) for name in names]

    assert len(inside) == len(names)
    assert not set(inside) & set(outside)


def test_the_program_is_the_first_process_and_sees_no_other(client: docker.DockerClient) -> None:
    assert _run(client, "echo $$; echo /proc/[0-9]*").split() == ["1", "/proc/1"]


def test_the_hostname_is_the_id_or_what_was_asked_for(client: docker.DockerClient) -> None:
    assert _run(client, "hostname", hostname="lab").strip() == "lab"
    assert len(_run(client, "hostname").strip()) == 12
    assert platform.node() == socket.gethostname()


def test_the_network_none_has_loopback_only(client: docker.DockerClient) -> None:
    script = "ls /sys/class/net; cat /sys/class/net/lo/operstate"

    assert _run(client, script, network_mode="none").split() == ["lo", "unknown"]
    assert _run(client, script).split() == ["eth0", "lo", "unknown"]


def test_the_host_network_is_the_hosts(client: docker.DockerClient) -> None:
    inside = _run(client, "readlink /proc/self/ns/net", network_mode="host").strip()

    assert inside == str(Path("/proc/self/ns/net").readlink())


def test_capabilities_are_dockers(client: docker.DockerClient) -> None:
    status = dict(line.split(":", 1) for line in _run(client, "cat /proc/self/status").splitlines())

    assert int(status["CapBnd"], 16) == DEFAULT_CAPABILITIES
    assert int(status["CapEff"], 16) == DEFAULT_CAPABILITIES
    assert int(status["CapInh"], 16) == 0
    assert int(status["CapAmb"], 16) == 0
    assert status["Seccomp"].strip() == "2"


def test_capabilities_can_be_dropped_and_added(client: docker.DockerClient) -> None:
    def effective(**options: Any) -> int:
        return int(_run(client, "grep CapEff /proc/self/status", **options).split()[1], 16)

    assert effective(cap_drop=["ALL"]) == 0
    assert effective(cap_drop=["ALL"], cap_add=["NET_ADMIN"]) == 1 << 12
    assert effective(user="65534") == 0


def test_the_seccomp_profile_refuses_what_dockers_does(client: docker.DockerClient) -> None:
    refused = _run(client, "unshare -m true 2>&1; mount -t tmpfs none /tmp 2>&1; true").splitlines()

    assert "Operation not permitted" in refused[0]
    assert "permission denied" in refused[1]


def test_proc_and_sys_are_masked_and_read_only(client: docker.DockerClient) -> None:
    script = """
        cat /proc/kcore 2>/dev/null | wc -c; ls /sys/firmware | wc -l
        echo 1 > /proc/sys/kernel/hostname 2>/dev/null || echo refused
        mkdir /sys/fs/cgroup/mine 2>/dev/null || echo refused
        touch /sys/x 2>/dev/null || echo refused
    """

    assert _run(client, script).split() == ["0", "0", "refused", "refused", "refused"]


def test_the_usual_devices_are_there_and_no_other(client: docker.DockerClient) -> None:
    listed = set(_run(client, "ls /dev").split())
    usual = {"fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm"}
    usual |= {"stderr", "stdin", "stdout", "tty", "urandom", "zero"}

    # As in Docker, where the kernel has one.
    assert listed == usual | ({"core"} if Path("/proc/kcore").exists() else set())
    assert _run(client, "mknod /tmp/disk b 8 0; cat /tmp/disk 2>&1; true").count("ermi") == 1


def test_a_read_only_root_cannot_be_written(client: docker.DockerClient) -> None:
    written = _run(client, "touch /file 2>&1; touch /dev/shm/file && echo shm", read_only=True)

    assert "Read-only file system" in written
    assert written.endswith("shm\n")


def test_what_a_container_writes_stays_in_it(client: docker.DockerClient) -> None:
    _run(client, "rm /bin/ls; echo changed > /etc/passwd")

    assert "root" in _run(client, "/bin/ls /bin/ls >/dev/null && cat /etc/passwd")


def test_no_descriptor_of_the_engine_leaks_into_the_program(client: docker.DockerClient) -> None:
    # 0, 1, 2, and the one that ls itself opens to read the folder.
    assert _run(client, "exec ls /proc/self/fd").split() == ["0", "1", "2", "3"]


def test_the_environment_of_the_engine_does_not_leak(client: docker.DockerClient) -> None:
    names = {line.partition("=")[0] for line in _run(client, "exec env").splitlines()}

    assert names <= {"PATH", "HOSTNAME", "HOME", "SHLVL", "PWD"}


@pytest.mark.needs_cgroup
def test_too_much_memory_is_killed_and_said(client: docker.DockerClient) -> None:
    container = client.containers.create(
        "busybox", ["sh", "-c", "tail -c 100m /dev/zero"], mem_limit="16m", memswap_limit="16m"
    )
    container.start()

    # The shell may survive its child; either way the kernel's kill is told.
    assert container.wait()["StatusCode"] == 137
    container.reload()
    assert container.attrs["State"]["OOMKilled"] is True


@pytest.mark.needs_cgroup
def test_more_processes_than_allowed_are_refused(client: docker.DockerClient) -> None:
    container = client.containers.create(
        "busybox", ["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait"], pids_limit=4
    )
    container.start()
    container.wait()

    assert b"Resource temporarily unavailable" in container.logs()


def test_standard_input_reaches_the_program_and_its_end_too(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "cat; exit 7"], stdin_open=True)
    api = client.api
    connection = api.attach_socket(
        str(container.id), params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    )
    raw = connection._sock
    container.start()
    raw.sendall(b"first line\n" + b"x" * 100_000)
    raw.shutdown(socket.SHUT_WR)

    received = b""
    while piece := raw.recv(65536):
        received += piece
    raw.close()
    connection.close()

    assert container.wait()["StatusCode"] == 7
    assert _payload(received) == b"first line\n" + b"x" * 100_000


def _payload(stream: bytes) -> bytes:
    """Take the frames of a multiplexed stream apart. Engine API, /containers/{id}/attach."""
    payload = b""
    while stream:
        size = int.from_bytes(stream[4:8])
        payload += stream[8 : 8 + size]
        stream = stream[8 + size :]
    return payload


def test_a_terminal_is_one(client: docker.DockerClient) -> None:
    assert _run(client, "tty; test -t 1 && echo yes", tty=True).split() == ["/dev/pts/0", "yes"]


def test_a_large_output_arrives_whole(client: docker.DockerClient) -> None:
    size = 3 << 20

    output = client.containers.run("busybox", ["head", "-c", str(size), "/dev/zero"], remove=True)

    assert len(output) == size


def test_twenty_at_once_end_with_their_own_status_and_output(engine: EngineUnderTest) -> None:
    def one(number: int) -> tuple[int, bytes]:
        client = engine.connect()
        container = client.containers.create(
            "busybox", ["sh", "-c", f"echo {number}; exit {number}"]
        )
        container.start()
        status = int(container.wait()["StatusCode"])
        output: bytes = container.logs()
        container.remove()
        return status, output

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(one, range(20)))

    assert results == [(number, f"{number}\n".encode()) for number in range(20)]
