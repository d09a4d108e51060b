"""The program between PRoot and the container's, on both processors."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from dockerlab.runtime.starter import (
    ENVIRONMENT_MARK,
    REPORT,
    REPORT_FD,
    arguments,
    starter_elf,
)

RUNNERS = [
    pytest.param(
        "x86_64",
        [],
        marks=pytest.mark.skipif(os.uname().machine != "x86_64", reason="this host is not amd64"),
    ),
    pytest.param("aarch64", ["qemu-aarch64-static"], marks=pytest.mark.needs_arm64),
]


def start(
    folder: Path, machine: str, runner: list[str], paths: list[bytes], args: list[bytes]
) -> tuple[dict[str, object], str]:
    """Return the report and the output of what was started."""
    program = folder / "starter"
    program.write_bytes(starter_elf(machine))
    program.chmod(0o755)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mark = ENVIRONMENT_MARK.decode()
    kept = os.dup(REPORT_FD) if Path(f"/proc/self/fd/{REPORT_FD}").exists() else -1
    os.dup2(theirs.fileno(), REPORT_FD)
    try:
        done = subprocess.run(
            [*runner, program, *arguments(paths, args)],
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[REPORT_FD],
            env={"PROOT_TMP_DIR": "/", f"{mark}A": "b", "LD_X": "y"},
            check=True,
            timeout=30,
        )
    finally:
        if kept >= 0:
            os.dup2(kept, REPORT_FD)
            os.close(kept)
        else:
            os.close(REPORT_FD)
    ours.settimeout(10)
    report: dict[str, object] = json.loads(ours.recv(1000))
    ours.close()
    theirs.close()
    return report, done.stdout


@pytest.mark.parametrize(("machine", "runner"), RUNNERS)
def test_it_tries_the_paths_and_reports_who_runs(
    tmp_path: Path, machine: str, runner: list[str]
) -> None:
    script = f'env; echo pid $$; ls /proc/$$/fd/{REPORT_FD} 2>/dev/null; echo "$0" "$1"'.encode()
    paths = [b"/no/such/sh", b"/bin/sh"]
    report, output = start(tmp_path, machine, runner, paths, [b"name", b"-c", script, b"", b"x"])
    lines = output.splitlines()
    assert report == {"type": "program", "pid": report["pid"], "errno": 0}
    assert f"pid {report['pid']}" in lines
    assert "A=b" in lines
    assert not any(line.startswith(("PROOT", "LD_", "\x01", "/proc")) for line in lines)
    assert lines[-1] == " x"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="this host is not amd64")
@pytest.mark.parametrize(
    ("paths", "errno"),
    [([b"/no/such"], 2), ([b"/etc/passwd/x"], 2), ([b"/etc", b"/no/such"], 13)],
)
def test_it_reports_why_not(tmp_path: Path, paths: list[bytes], errno: int) -> None:
    report, output = start(tmp_path, "x86_64", [], paths, [b"name"])
    assert (report["errno"], output) == (errno, "")


def test_the_report_is_json_of_the_length_that_the_instructions_know() -> None:
    assert len(REPORT) == 58
    assert REPORT[24:36] == REPORT[45:57] == b" " * 12


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_nothing_is_both_writable_and_executable(machine: str, number: int) -> None:
    program = starter_elf(machine)
    flags = [int.from_bytes(program[at + 4 : at + 8], "little") for at in (64, 120)]
    assert int.from_bytes(program[18:20], "little") == number
    assert all(flag & 3 != 3 for flag in flags)


def test_another_processor_has_none() -> None:
    with pytest.raises(LookupError):
        starter_elf("riscv64")
