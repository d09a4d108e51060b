"""The known ways out of a container, one test each: what was tried there, tried here.

Hostile paths in images are in `test_hostile_images`, what a container sees in `test_isolation`.
"""

import errno
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.boxes import Box, Boxes, read_all


def interpreter() -> str:
    """Return the digest of what the zygote was copied from."""
    return hashlib.sha256(Path(sys.executable).resolve().read_bytes()).hexdigest()


def running(boxes: Boxes, box: Box) -> int:
    """Start a box and return the host's number of its first process."""
    box.start(boxes.zygote)
    return int(box.expect("started")["pid"])


def with_init(box: Box) -> Box:
    box.spec["annotations"]["dockerlab.init"] = "true"
    return box


def failed(boxes: Boxes, box: Box) -> dict[str, object]:
    box.start(boxes.zygote)
    return box.expect("failed", among="failed")


def test_the_runtime_as_the_containers_program_is_not_the_hosts_file(boxes: Boxes) -> None:
    """CVE-2019-5736: the image's program is a link to /proc/self/exe."""
    before = interpreter()
    failure = failed(boxes, boxes.box("/proc/self/exe", "-c", "open('/proc/self/exe', 'wb')"))

    # It is the sealed copy, whose loader the image has not.
    assert failure["errno"] == errno.ENOENT
    assert interpreter() == before


def test_an_exec_that_enters_cannot_be_opened_for_writing(boxes: Boxes) -> None:
    """CVE-2019-5736: a program of the container waits for whoever comes in."""
    before = interpreter()
    script = (
        "while :; do for p in /proc/[0-9]*; do true 9>>$p/exe && echo $p; done; done 2>/dev/null"
    )
    box = boxes.box("sh", "-c", script)
    client = box.start(boxes.zygote)
    box.expect("started")
    for number in range(10):
        answer = box.exec("echo", str(number))
        assert read_all(answer) == b"%d\n" % number
        box.expect("exec_exited")
    box.send({"type": "kill", "signal": 9})

    assert read_all(client) == b""
    assert interpreter() == before


def test_pid_1_of_ours_cannot_be_written_even_by_who_may_trace_it(boxes: Boxes) -> None:
    """CVE-2019-5736, with --init and CAP_SYS_PTRACE."""
    before = interpreter()
    box = with_init(
        boxes.box("sh", "-c", "for m in '>' '>>' '<>'; do sh -c \": $m /proc/1/exe\"; done; true")
    )
    for each in box.spec["process"]["capabilities"].values():
        each.append("CAP_SYS_PTRACE")
    output = read_all(box.start(boxes.zygote)).decode()

    assert output.count("can't") == 3, output
    assert interpreter() == before


@pytest.mark.parametrize("number", range(3, 24))
def test_a_descriptor_as_working_directory_leads_nowhere(boxes: Boxes, number: int) -> None:
    """CVE-2024-21626: a directory of the host was open when the working directory was entered."""
    box = boxes.box("cat", "../../../../etc/hostname")
    box.change(cwd=f"/proc/self/fd/{number}")

    assert failed(boxes, box)["step"] == "cwd"


def test_a_link_to_a_descriptor_as_working_directory_of_an_exec(
    boxes: Boxes, tmp_path: Path
) -> None:
    """CVE-2024-21626, by docker exec and a link in the image."""
    layer = tmp_path / "links"
    layer.mkdir()
    for number in range(3, 24):
        (layer / f"to{number}").symlink_to(f"/proc/self/fd/{number}")
    box = boxes.box("sleep", "60", layers=[layer])
    running(boxes, box)
    for number in range(3, 24):
        box.spec["process"]["cwd"] = f"/to{number}"
        box.exec("ls", "..")
        assert box.expect("exec_failed")["step"] == "cwd"


def test_an_exec_has_no_descriptor_and_no_environment_of_the_host(boxes: Boxes) -> None:
    box = boxes.box("sleep", "60")
    running(boxes, box)

    listed = read_all(box.exec("ls", "-l", "/proc/self/fd")).decode()
    targets = [line.split(" -> ")[1] for line in listed.splitlines() if " -> " in line]
    assert len(targets) == 3
    assert all(target.startswith("pipe:") for target in targets)
    assert read_all(box.exec("env")).decode().split() == ["PATH=/bin", "HOME=/root"]


def test_pid_1_of_ours_has_nothing_of_the_host_open_and_nothing_of_the_image_loaded(
    boxes: Boxes, tmp_path: Path
) -> None:
    """CVE-2019-14271: code of the container, loaded by a process of the engine's inside it."""
    layer = tmp_path / "code"
    for path in ("lib/x86_64-linux-gnu/libnss_evil.so.2", "evil.so", "evil/sitecustomize.py"):
        (layer / path).parent.mkdir(parents=True, exist_ok=True)
        (layer / path).write_bytes(b"\x7fELF or raise SystemExit(66)")
    (layer / "etc").mkdir()
    (layer / "etc/nsswitch.conf").write_text("passwd: evil\ngroup: evil\n")
    box = with_init(boxes.box("sleep", "60", layers=[layer]))
    box.change(user="ann", env=["PATH=/bin", "LD_PRELOAD=/evil.so", "PYTHONPATH=/evil"])
    pid = running(boxes, box)

    mapped = {
        line.split(maxsplit=5)[5]
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
        if "/" in line
    }
    outside = {path.rstrip() for path in mapped if not path.startswith("/memfd:")}
    assert outside
    assert all(Path(path).is_file() and "evil" not in path for path in outside), outside
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]  # noqa: PTH208 - numbers
    assert Path(f"/proc/{pid}/environ").read_bytes() == b""
    assert b"jobs.py" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_an_exec_loads_no_code_of_the_image(boxes: Boxes, tmp_path: Path) -> None:
    """CVE-2019-14271, by docker exec: a name is looked up, and an error is to be told."""
    layer = tmp_path / "python"
    names = ("encodings", "json", "traceback", "pwd", "sitecustomize", "usercustomize")
    for folder in ("", "usr/lib/python3.11", "usr/lib/python3.13", "usr/lib/python3"):
        (layer / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (layer / folder / f"{name}.py").write_text("raise SystemExit('of the image')\n")
    box = boxes.box("sleep", "60", layers=[layer])
    running(boxes, box)
    box.spec["process"]["env"] = ["PYTHONPATH=/", "PYTHONHOME=/usr"]
    box.exec("no-such-program", user="ann")

    assert box.expect("exec_failed")["errno"] == errno.ENOENT


def _as_file(path: Path) -> None:
    path.write_text("not a device\n")


def _as_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("make", "reason"), [(_as_file, errno.EINVAL), (_as_link, errno.ELOOP)], ids=["file", "link"]
)
def test_another_file_as_the_null_device_masks_nothing_and_fails(
    boxes: Boxes, tmp_path: Path, make: Callable[[Path], None], reason: int
) -> None:
    """CVE-2025-31133: what covers a masked path was taken from the image."""
    layer = tmp_path / "dev"
    (layer / "dev").mkdir(parents=True)
    make(layer / "dev/null")
    box = boxes.box("cat", "/proc/keys", layers=[layer])
    box.spec["mounts"] = [
        mount for mount in box.spec["mounts"] if not mount["destination"].startswith("/dev")
    ]
    failure = failed(boxes, box)

    assert (failure["step"], failure["errno"]) == ("mask", reason)


def test_writes_to_proc_go_to_proc(boxes: Boxes, tmp_path: Path) -> None:
    """CVE-2025-52881: a write meant for /proc went elsewhere by a link."""
    layer = tmp_path / "links"
    (layer / "proc").mkdir(parents=True)
    (layer / "proc/sys").symlink_to("/etc")
    box = boxes.box("cat", "/proc/sys/kernel/domainname", layers=[layer])
    box.spec["linux"]["sysctl"] = {"kernel.domainname": "written"}

    assert read_all(box.start(boxes.zygote)) == b"written\n"


@pytest.mark.parametrize("target", ["/inner", "../../../../../inner"])
def test_a_tmpfs_on_a_link_is_mounted_inside(boxes: Boxes, tmp_path: Path, target: str) -> None:
    """CVE-2021-30465: a mount point that is a link by the time it is used."""
    before = Path("/proc/self/mountinfo").read_text()
    layer = tmp_path / "links"
    (layer / "inner").mkdir(parents=True)
    (layer / "linked").symlink_to(target)
    box = boxes.box("grep", "inner", "/proc/mounts", layers=[layer])
    box.spec["mounts"].append(
        {"destination": "/linked", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]}
    )

    assert read_all(box.start(boxes.zygote)).startswith(b"tmpfs /inner tmpfs")
    assert Path("/proc/self/mountinfo").read_text() == before
    assert not Path("/inner").exists()


def test_no_release_agent_is_within_reach(boxes: Boxes) -> None:
    """CVE-2022-0492: a program named in a cgroup's folder is run by the kernel on the host."""
    script = """
        busybox find /sys/fs/cgroup -name release_agent
        mount -t cgroup -o devices none /tmp && echo mounted
        busybox unshare -C -m true && echo unshared
        busybox unshare -U -r -C -m true && echo unshared
        mkdir /sys/fs/cgroup/devices/below && echo made
        true
    """
    code, output = boxes.run("sh", "-c", script)

    assert code == 0
    lines = set(output.split())
    assert not lines & {"mounted", "unshared", "made", "/sys/fs/cgroup/devices/release_agent"}


@pytest.mark.parametrize("name", ["core_pattern", "modprobe", "hotplug", "sysrq"])
def test_no_program_of_the_kernels_can_be_named(boxes: Boxes, name: str) -> None:
    """Writing /proc/sys/kernel/core_pattern: the kernel runs what it names, on the host."""
    path = f"/proc/sys/kernel/{name}"
    before = Path(path).read_text() if Path(path).exists() else ""
    script = f"echo '|/tmp/evil' > {path} && echo written; mount -o remount,rw /proc/sys && echo rw"
    _, output = boxes.run("sh", "-c", script)

    assert "written" not in output
    assert "rw\n" not in output
    assert (Path(path).read_text() if Path(path).exists() else "") == before


def test_with_the_hosts_processes_none_of_them_can_be_looked_into(boxes: Boxes) -> None:
    """--pid host: the roots, memory and descriptors of others stay closed."""
    types = ["mount", "uts", "ipc", "network"]
    own = os.getpid()
    script = f"""
        for p in 1 {own} {boxes.zygote.pid}; do
            ls /proc/$p/root/ && echo root
            readlink /proc/$p/exe && echo exe
            head -c 1 /proc/$p/mem && echo mem
            ls -l /proc/$p/fd/ | grep -q ' -> /' && echo fd
        done 2>/dev/null; true
    """
    code, output = boxes.run("sh", "-c", script, namespaces=[{"type": each} for each in types])

    assert (code, output) == (0, "")


def test_the_host_cannot_be_reached_by_dots_or_by_leaving_the_root(boxes: Boxes) -> None:
    """The two classics: too many dots, and chroot(2) with a directory still open outside."""
    script = """
        mkdir /tmp/jail
        busybox chroot /tmp/../../../../../../ ls /../../../etc
        cd /tmp && busybox chroot jail true 2>/dev/null
        ls ../../../../../../
    """
    _, output = boxes.run("sh", "-c", script)

    assert set(output.split()) <= {
        *("passwd", "group", "bin", "dev", "etc", "proc", "root", "sys", "tmp")
    }
