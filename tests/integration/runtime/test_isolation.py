"""What a container cannot see, reach or do: one claim a test, from docs/security.md."""

import os
import stat
from pathlib import Path

import pytest

from tests.support.boxes import Boxes

DEFAULT_CAPABILITIES = "00000000a80425fb"


@pytest.mark.parametrize("namespace", ["pid", "mnt", "uts", "ipc", "net", "cgroup"])
def test_has_a_namespace_of_its_own(boxes: Boxes, namespace: str) -> None:
    code, inside = boxes.run("readlink", f"/proc/self/ns/{namespace}")

    assert code == 0
    assert inside.strip() != str(Path(f"/proc/self/ns/{namespace}").readlink())


def test_shares_the_hosts_network_when_asked(boxes: Boxes) -> None:
    types = ["mount", "uts", "pid", "ipc", "cgroup"]
    _, inside = boxes.run(
        "readlink", "/proc/self/ns/net", namespaces=[{"type": each} for each in types]
    )

    assert inside.strip() == str(Path("/proc/self/ns/net").readlink())


def test_is_pid_1_and_sees_no_other_process(boxes: Boxes) -> None:
    _, output = boxes.run("sh", "-c", "echo $$; echo /proc/[0-9]*")

    assert output == "1\n/proc/1\n"


def test_has_its_host_name_and_the_host_keeps_its_own(boxes: Boxes) -> None:
    before = os.uname().nodename
    _, output = boxes.run("hostname", hostname="otherwise")

    assert output == "otherwise\n"
    assert os.uname().nodename == before


def test_loopback_is_up_and_the_only_interface(boxes: Boxes) -> None:
    _, output = boxes.run("sh", "-c", "ls /sys/class/net; ip addr show lo")

    assert output.splitlines()[0] == "lo"
    assert "127.0.0.1/8" in output
    assert "UP" in output


def test_capabilities_are_dockers_and_no_more(boxes: Boxes) -> None:
    _, output = boxes.run("grep", "Cap", "/proc/self/status")

    sets = dict(line.split(":\t") for line in output.splitlines())
    assert sets == {
        "CapInh": "0" * 16,
        "CapPrm": DEFAULT_CAPABILITIES,
        "CapEff": DEFAULT_CAPABILITIES,
        "CapBnd": DEFAULT_CAPABILITIES,
        "CapAmb": "0" * 16,
    }


def test_another_user_has_no_effective_capability(boxes: Boxes) -> None:
    _, output = boxes.run("grep", "-E", "CapEff|CapPrm|CapInh", "/proc/self/status", user="ann")

    assert {line.split()[1] for line in output.splitlines()} == {"0" * 16}


def test_a_seccomp_filter_is_installed(boxes: Boxes) -> None:
    _, output = boxes.run("grep", "Seccomp", "/proc/self/status")

    assert output.split() == ["Seccomp:", "2", "Seccomp_filters:", "1"]


def test_no_new_privileges_only_when_asked(boxes: Boxes) -> None:
    _, without = boxes.run("grep", "NoNewPrivs", "/proc/self/status")
    _, asked = boxes.run("grep", "NoNewPrivs", "/proc/self/status", noNewPrivileges=True)

    assert (without.split()[1], asked.split()[1]) == ("0", "1")


@pytest.mark.parametrize("path", ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/irq"])
def test_dangerous_parts_of_proc_are_read_only(boxes: Boxes, path: str) -> None:
    _, output = boxes.run("sh", "-c", f"touch {path}/x 2>&1; echo b > {path}")

    # On a directory the first names the reason; an absent file (sysrq off) cannot be made either.
    assert "Read-only file system" in output or "can't create" in output


def test_sys_and_the_cgroup_folders_are_read_only(boxes: Boxes) -> None:
    code, output = boxes.run(
        "sh",
        "-c",
        "mkdir /sys/x; for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/x; done; true",
    )

    assert code == 0
    reasons = {line.rpartition(": ")[2] for line in output.splitlines()}
    # What is no folder is a control file of cgroup v2.
    assert "/sys/fs/cgroup/x': Read-only file system" in output
    assert {"Read-only file system"} <= reasons <= {"Read-only file system", "Not a directory"}


@pytest.mark.parametrize("path", ["/proc/keys", "/proc/timer_list", "/proc/interrupts"])
def test_masked_files_show_nothing(boxes: Boxes, path: str) -> None:
    if not Path(path).exists():
        path = "/proc/interrupts"
    _, output = boxes.run("sh", "-c", f"stat -c %F,%t,%T {path}; cat {path}")

    assert output == "character special file,1,3\n"


def test_masked_folders_show_nothing(boxes: Boxes) -> None:
    _, output = boxes.run("sh", "-c", "ls -A /sys/firmware /proc/acpi /proc/scsi | grep -v :")

    assert output.strip() in {"", "ls: /proc/acpi: No such file or directory"} or all(
        line.endswith("No such file or directory") or not line for line in output.splitlines()
    )


def test_dev_has_the_usual_nodes_and_no_other(boxes: Boxes) -> None:
    _, output = boxes.run("sh", "-c", "cd /dev; echo *")

    assert output.split() == sorted(
        [
            *(["core"] if Path("/proc/kcore").exists() else []),
            "fd",
            "full",
            "mqueue",
            "null",
            "ptmx",
            "pts",
            "random",
            "shm",
            "stderr",
            "stdin",
            "stdout",
            "tty",
            "urandom",
            "zero",
        ]
    )


def test_a_device_node_of_its_own_making_is_useless(boxes: Boxes) -> None:
    device = Path("/").stat().st_dev
    major, minor = os.major(device), os.minor(device)
    _, output = boxes.run("sh", "-c", f"mknod /tmp/disk b {major} {minor} && head -c 1 /tmp/disk")

    assert "Operation not permitted" in output


def test_every_usual_device_works(boxes: Boxes) -> None:
    _, output = boxes.run(
        "sh",
        "-c",
        "echo x > /dev/null && head -c 2 /dev/zero | od -An -tx1 && head -c 1 /dev/urandom | wc -c"
        " && head -c 1 /dev/random | wc -c; echo x > /dev/full",
    )

    assert output.split()[:4] == ["00", "00", "1", "1"]
    assert "No space left" in output


def test_no_descriptor_of_the_host_is_open(boxes: Boxes) -> None:
    _, output = boxes.run("ls", "-l", "/proc/self/fd")

    # ls itself has the folder open as 3, and has closed it when it asks what that is.
    targets = dict(line.split()[8:11:2] for line in output.splitlines() if " -> " in line)
    assert sorted(targets) == ["0", "1", "2"]
    assert targets["0"] == "/dev/null"
    assert all(targets[number].startswith("pipe:") for number in "12")
    assert [line.split()[-1] for line in output.splitlines() if " -> " not in line][1:] in (
        ["directory", "3"],
        ["3", "directory"],
    )


def test_no_environment_of_the_host(boxes: Boxes) -> None:
    _, output = boxes.run("env", env=["PATH=/bin", "WHO=me", "EMPTY=", "not a variable"])

    # HOME is the user's, from the container's passwd.
    assert sorted(output.splitlines()) == ["EMPTY=", "HOME=/root", "PATH=/bin", "WHO=me"]


def test_the_program_cannot_reach_our_interpreter(boxes: Boxes) -> None:
    assert boxes.zygote.sealed
    assert "memfd:" in str(Path(f"/proc/{boxes.zygote.pid}/exe").readlink())


def test_the_mounts_of_the_host_are_not_there(boxes: Boxes) -> None:
    _, output = boxes.run("cat", "/proc/self/mountinfo")

    roots = [line.split()[4] for line in output.splitlines()]
    assert roots[0] == "/"
    assert all(root.startswith(("/proc", "/dev", "/sys")) or root == "/" for root in roots), output


def test_nothing_of_it_appears_among_the_hosts_mounts(boxes: Boxes) -> None:
    box = boxes.box("sleep", "100")
    box.start(boxes.zygote)
    box.expect("started")

    assert box.id[:12] not in Path("/proc/self/mountinfo").read_text()


def test_a_read_only_root_takes_no_file(boxes: Boxes) -> None:
    _, output = boxes.run(
        "sh",
        "-c",
        "touch /x; touch /dev/shm/y && echo shm",
        root={"path": "rootfs", "readonly": True},
    )

    assert "Read-only file system" in output
    assert "shm\n" in output


def test_shm_has_its_size(boxes: Boxes) -> None:
    box = boxes.box("grep", "/dev/shm", "/proc/mounts")
    box.spec["mounts"][-1]["options"][-1] = "size=1048576"
    client = box.start(boxes.zygote)

    assert "size=1024k" in client.makefile().read()


def test_a_sysctl_is_set_before_proc_is_read_only(boxes: Boxes) -> None:
    _, output = boxes.run(
        "cat", "/proc/sys/net/ipv4/ip_forward", sysctl={"net.ipv4.ip_forward": "1"}
    )

    assert output == "1\n"


def test_umask_and_session_are_fresh(boxes: Boxes) -> None:
    _, output = boxes.run("sh", "-c", "umask; cut -d' ' -f6 /proc/self/stat")

    assert output.split() == ["0022", "1"]


def test_no_signal_is_ignored_or_blocked(boxes: Boxes) -> None:
    _, output = boxes.run("grep", "-E", "SigIgn|SigBlk", "/proc/self/status")

    assert output.split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16]


def test_the_image_is_not_changed(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", "echo changed > /etc/passwd; rm /etc/group")
    box.start(boxes.zygote)
    box.expect("exited")

    lower = Path(box.args["rootfs"]["lower"][-1])
    assert (lower / "etc/passwd").read_text().startswith("root:")
    assert (box.bundle / "upper/etc/passwd").read_text() == "changed\n"
    assert stat.S_ISCHR((box.bundle / "upper/etc/group").lstat().st_mode)
