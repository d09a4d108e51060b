"""The options of isolation of `docker run`, by docker-py, against a real engine as root."""

import os
import stat
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, ContainerError
from docker.models.containers import Container
from docker.types import Ulimit

from tests.support.engine import EngineUnderTest


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def execute(container: Container, command: list[str]) -> str:
    output = container.exec_run(command).output
    assert isinstance(output, bytes)
    return output.decode()


def run(client: docker.DockerClient, script: str, **options: Any) -> str:
    output = client.containers.run("busybox", ["sh", "-c", script], remove=True, **options)
    return bytes(output).decode()


def _unusual_device() -> Path:
    """Return a device of the host that containers do not have by themselves."""
    for path in sorted(Path("/dev").iterdir()):
        mode = path.lstat().st_mode
        if stat.S_ISBLK(mode) or path.name in ("fuse", "kmsg"):
            return path
    pytest.skip("needs_namespaces: this host has none but the usual devices")


def namespace(kind: str) -> str:
    return str(Path(f"/proc/self/ns/{kind}").readlink())


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("pid_mode", "pid"),
        ("ipc_mode", "ipc"),
        ("uts_mode", "uts"),
        ("network_mode", "net"),
        ("cgroupns", "cgroup"),
    ],
)
def test_a_namespace_is_the_hosts_when_asked(
    client: docker.DockerClient, option: str, kind: str
) -> None:
    script = f"readlink /proc/self/ns/{kind}"

    assert run(client, script, **{option: "host"}).strip() == namespace(kind)
    assert run(client, script).strip() != namespace(kind)


def test_with_the_hosts_processes_the_masks_stay(client: docker.DockerClient) -> None:
    script = "ls /proc; cat /proc/interrupts; echo 1 2>&1 > /proc/sys/kernel/panic || true"
    output = run(client, script, pid_mode="host")

    assert str(os.getpid()) in output.split()
    assert "CPU0" not in output


def test_with_the_hosts_processes_its_own_end_with_it(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "setsid sleep 4711 & sleep 0.2"], pid_mode="host", detach=True
    )
    container.wait()
    container.remove()

    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert b"sleep\x004711\x00" not in commands


def test_the_network_of_another_container_comes_with_its_name(client: docker.DockerClient) -> None:
    donor = client.containers.run("busybox", ["sleep", "60"], detach=True, hostname="giver")
    script = "readlink /proc/self/ns/net; hostname; cat /etc/hostname; echo 1.2.3.4 x >> /etc/hosts"
    output = run(client, script, network_mode=f"container:{donor.name}").split()
    container = client.containers.run(
        "busybox", ["sleep", "60"], detach=True, network_mode=f"container:{donor.id}"
    )
    assert execute(container, ["readlink", "/proc/self/ns/net"]).strip() == output[0]
    container.remove(force=True)
    lines = execute(
        donor, ["sh", "-c", "readlink /proc/self/ns/net; tail -n 1 /etc/hosts"]
    ).splitlines()

    assert output == [lines[0], "giver", "giver"]
    assert lines[1] == "1.2.3.4 x"
    donor.remove(force=True)


def test_processes_of_another_container_are_seen_and_end_with_it(
    client: docker.DockerClient,
) -> None:
    donor = client.containers.run("busybox", ["sleep", "61"], detach=True)
    joined = client.containers.run(
        "busybox", ["sleep", "62"], detach=True, pid_mode=f"container:{donor.id}"
    )
    listed = execute(donor, ["ps"])
    assert "sleep 62" in listed

    donor.kill()

    assert joined.wait()["StatusCode"] == 137
    donor.remove()
    joined.remove()


def test_memory_is_shared_by_a_shareable_container_only(client: docker.DockerClient) -> None:
    command = ["sh", "-c", "echo there > /dev/shm/file; sleep 60"]
    donor = client.containers.run("busybox", command, detach=True, ipc_mode="shareable")
    closed = client.containers.run("busybox", command, detach=True)
    script = "while ! cat /dev/shm/file; do sleep 0.1; done; readlink /proc/self/ns/ipc"

    output = run(client, script, ipc_mode=f"container:{donor.id}").split()
    theirs = execute(donor, ["readlink", "/proc/self/ns/ipc"]).strip()
    assert output == ["there", theirs]
    with pytest.raises(APIError, match="non-shareable IPC"):
        run(client, "true", ipc_mode=f"container:{closed.id}")
    donor.remove(force=True)
    closed.remove(force=True)


def test_a_container_that_does_not_run_shares_nothing(client: docker.DockerClient) -> None:
    donor = client.containers.create("busybox", ["true"])

    with pytest.raises(APIError, match="non running container"):
        run(client, "true", network_mode=f"container:{donor.id}")
    with pytest.raises(APIError, match="No such container"):
        run(client, "true", network_mode="container:nobody")
    donor.remove()


def test_privileged_has_what_the_host_has(client: docker.DockerClient) -> None:
    script = """
        grep -E '^(CapEff|CapBnd|Seccomp):' /proc/self/status
        test -w /proc/sys/kernel/panic && echo writable
        mkdir /sys/fs/cgroup/devices/below && rmdir /sys/fs/cgroup/devices/below && echo cgroup
        cat /proc/interrupts | head -n 1
        test -e {device} && echo device
    """
    output = run(client, script.replace("{device}", str(_unusual_device())), privileged=True)

    own = Path("/proc/self/status").read_text().split("CapEff:\t")[1].split()[0]
    assert output.count(own) == 2
    assert "Seccomp:\t0" in output
    for word in ("writable", "CPU0", "device\n"):
        assert word in output
    if Path("/sys/fs/cgroup/devices").is_dir():
        assert "cgroup\n" in output


def test_privileges_are_shown(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["true"], privileged=True)

    host = client.api.inspect_container(str(container.id))["HostConfig"]
    assert host["Privileged"] is True
    assert host["MaskedPaths"] is None
    container.remove()


def test_tmpfs_has_dockers_options_and_the_clients(client: docker.DockerClient) -> None:
    script = "grep -E ' /(new|tmp|run) ' /proc/mounts; stat -c '%n %a %u' /new /tmp /run"
    output = run(
        client, script, tmpfs={"/new": "", "/tmp": "size=64k,exec", "/run": "mode=700,uid=7,ro"}
    )

    lines = output.splitlines()
    mounts = {line.split()[1]: line.split()[3].split(",") for line in lines[:3]}
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(mounts["/new"])
    assert "noexec" not in mounts["/tmp"]
    assert "size=64k" in mounts["/tmp"]
    assert "ro" in mounts["/run"]
    # A folder of the image keeps its mode; where there was none it is the kernel's own.
    tmp_mode = run(client, "stat -c %a /tmp").strip()
    assert lines[3:] == ["/new 1777 0", f"/tmp {tmp_mode} 0", "/run 700 7"]


def test_a_device_is_given_with_its_permissions(client: docker.DockerClient) -> None:
    device = _unusual_device()
    script = "stat -c '%t %T' /dev/mine; head -c 0 /dev/mine && echo read; true >> /dev/mine"
    output = client.containers.run(
        "busybox",
        ["sh", "-c", f"({script}) 2>&1 || true"],
        remove=True,
        devices=[f"{device}:/dev/mine:r"],
    ).decode()

    number = device.stat().st_rdev
    assert f"{os.major(number):x} {os.minor(number):x}" in output
    assert "read\n" in output
    assert "Operation not permitted" in output


def test_a_device_outside_dev_is_there_at_every_start(client: docker.DockerClient) -> None:
    container = client.containers.create(
        "busybox", ["stat", "-c", "%t %T", "/opt/null"], devices=["/dev/null:/opt/null"]
    )
    for _ in range(2):
        container.start()
        assert container.wait()["StatusCode"] == 0

    assert container.logs() == b"1 3\n1 3\n"
    container.remove()


def test_a_device_that_is_not_there_is_named(client: docker.DockerClient) -> None:
    with pytest.raises(APIError, match='custom device "/dev/none-such": no such file'):
        run(client, "true", devices=["/dev/none-such"])


def test_a_rule_opens_a_device_that_is_made_inside(client: docker.DockerClient) -> None:
    script = "mknod /tmp/k c 1 11; exec 3< /tmp/k && echo open"

    assert "open" in run(client, script, device_cgroup_rules=["c 1:11 r"], cap_add=["SYSLOG"])
    with pytest.raises(ContainerError, match="Operation not permitted"):
        run(client, script, cap_add=["SYSLOG"])


def test_ulimits_are_set_and_an_exec_has_them_too(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox",
        ["sleep", "60"],
        detach=True,
        ulimits=[Ulimit(name="nofile", soft=100, hard=200), Ulimit(name="core", soft=0, hard=-1)],
    )
    output = execute(container, ["sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc"])

    assert output.split() == ["100", "200", "0", "unlimited"]
    container.remove(force=True)


def test_sysctls_of_its_own_namespaces(client: docker.DockerClient) -> None:
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax"
    sysctls = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "4096"}

    assert run(client, script, sysctls=sysctls).split() == ["1", "4096"]
    with pytest.raises(APIError, match="not allowed"):
        run(client, "true", sysctls={"kernel.panic": "1"})


def test_anybody_may_use_low_ports_and_ping(client: docker.DockerClient) -> None:
    script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range"

    assert run(client, script).split() == ["0", "0", "2147483647"]


def test_groups_are_added_by_the_containers_own_names(client: docker.DockerClient) -> None:
    script = "grep Groups /proc/self/status"
    name = run(client, "tail -n 1 /etc/group").split(":")[0]
    number = run(client, "tail -n 1 /etc/group").split(":")[2]

    assert run(client, script, group_add=[name, "4242"]).split()[-2:] in (
        [number, "4242"],
        ["4242", number],
    )
    with pytest.raises(APIError, match="unable to find group none-such"):
        run(client, "true", group_add=["none-such"])


def test_a_filter_of_the_clients_own_decides(client: docker.DockerClient) -> None:
    profile = """{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 17}]}"""
    script = "mkdir /made 2>&1 || true; echo done"

    assert "File exists" in run(client, script, security_opt=[f"seccomp={profile}"])
    for bad in ("{", '{"defaultAction": "X"}', "[" * 100_000):
        with pytest.raises(APIError, match="seccomp profile"):
            run(client, "true", security_opt=[f"seccomp={bad}"])


def test_masks_can_be_taken_away(client: docker.DockerClient) -> None:
    body = client.api.create_host_config() | {"MaskedPaths": [], "ReadonlyPaths": []}
    made = client.api.create_container(
        "busybox", ["head", "-n", "1", "/proc/interrupts"], host_config=body
    )
    client.api.start(made["Id"])
    client.api.wait(made["Id"])

    assert b"CPU0" in client.api.logs(made["Id"])
    client.api.remove_container(made["Id"])


def test_a_restarted_engine_still_gives_namespaces(
    fresh_engine: EngineUnderTest,
) -> None:
    client = fresh_engine.connect()
    client.images.pull("busybox", tag="latest")
    donor = client.containers.run("busybox", ["sleep", "60"], detach=True)
    own = execute(donor, ["readlink", "/proc/self/ns/net"])
    fresh_engine.kill()
    fresh_engine.start()
    client = fresh_engine.connect()

    joined = run(client, "readlink /proc/self/ns/net", network_mode=f"container:{donor.id}")
    assert joined == own
    client.containers.get(str(donor.id)).remove(force=True)


class TestInit:
    def test_it_is_pid_1_under_dockers_name(self, client: docker.DockerClient) -> None:
        output = run(client, "ps -o pid,comm,args", init=True)

        first = output.splitlines()[1].split()
        assert first[:5] == ["1", "docker-init", "/sbin/docker-init", "--", "sh"]

    def test_it_ends_with_the_programs_status(self, client: docker.DockerClient) -> None:
        with pytest.raises(ContainerError) as ended:
            run(client, "exit 42", init=True)
        assert ended.value.exit_status == 42
        with pytest.raises(ContainerError) as ended:
            run(client, "kill -9 $$", init=True)
        assert ended.value.exit_status == 137

    def test_it_hands_signals_on(self, client: docker.DockerClient) -> None:
        # Without it a shell as PID 1 would not even be ended by SIGTERM.
        container = client.containers.run("busybox", ["sleep", "60"], init=True, detach=True)
        container.kill("SIGTERM")

        assert container.wait()["StatusCode"] == 143
        container.remove()

    def test_it_reaps_orphans(self, client: docker.DockerClient) -> None:
        script = "sh -c 'sh -c \"sleep 0.1\" & exit'; sleep 0.5; ps -o pid,stat,args"

        assert " Z " not in run(client, script, init=True)

    def test_nobody_inside_sees_into_it(self, client: docker.DockerClient) -> None:
        script = (
            "cat /proc/1/maps /proc/1/environ; readlink /proc/1/exe; readlink /proc/1/fd/1; true"
        )
        container = client.containers.run("busybox", ["sh", "-c", script], init=True, detach=True)
        container.wait()

        assert container.logs(stdout=True, stderr=False) == b""
        assert container.logs(stderr=True).count(b"ermission denied") == 2
        container.remove()

    def test_the_terminals_interrupt_reaches_the_program(self, client: docker.DockerClient) -> None:
        container = client.containers.create(
            "busybox",
            ["sh", "-c", "echo here; exec sleep 60"],
            init=True,
            tty=True,
            stdin_open=True,
        )
        stream: Any = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        container.start()
        # What it writes is there when the program is, and in the foreground.
        assert stream._sock.recv(64)
        stream._sock.sendall(b"\x03")

        assert container.wait(timeout=20)["StatusCode"] == 130
        stream.close()
        container.remove()

    def test_a_program_that_is_not_there_is_told(self, client: docker.DockerClient) -> None:
        with pytest.raises(APIError, match="executable file not found"):
            client.containers.run("busybox", ["none-such"], init=True, remove=True)
