import os
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.hub.elf import MAX_MESSAGE_BYTES, hello_elf

_QEMU = "qemu-aarch64-static"
_RUNNERS = [
    pytest.param(
        "amd64",
        [],
        marks=pytest.mark.skipif(os.uname().machine != "x86_64", reason="this host is not amd64"),
    ),
    pytest.param(
        "arm64",
        [_QEMU],
        marks=pytest.mark.needs_arm64,
    ),
]


def _write(folder: Path, machine: str, message: bytes) -> str:
    path = folder / "hello"
    path.write_bytes(hello_elf(machine, message))
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("machine", "runner"), _RUNNERS)
def test_program_prints_the_message_and_exits_with_0(
    tmp_path: Path, machine: str, runner: list[str]
) -> None:
    done = subprocess.run(
        [*runner, _write(tmp_path, machine, b"one\ntwo\n")], capture_output=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"one\ntwo\n", b"", 0)


@pytest.mark.parametrize(("machine", "runner"), _RUNNERS)
def test_failed_write_exits_with_1(tmp_path: Path, machine: str, runner: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*runner, _write(tmp_path, machine, b"lost")], stdout=full, check=False
        )
    assert done.returncode == 1


@pytest.mark.parametrize(("machine", "runner"), _RUNNERS)
def test_short_writes_are_continued(tmp_path: Path, machine: str, runner: list[str]) -> None:
    # A stop and a continue in the middle of a write to a full pipe make write(2) return early.
    message = bytes(range(256)) * (MAX_MESSAGE_BYTES // 256)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filled = 0
    while True:
        try:
            filled += os.write(writer, bytes(4096))
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    with subprocess.Popen([*runner, _write(tmp_path, machine, message)], stdout=writer) as process:
        os.close(writer)
        got = os.read(reader, filled // 2)
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGCONT)
        while chunk := os.read(reader, 1 << 16):
            got += chunk
    os.close(reader)
    assert got == bytes(filled) + message
    assert process.returncode == 0


@pytest.mark.parametrize(("machine", "number"), [("amd64", 62), ("arm64", 183)])
def test_nothing_is_both_writable_and_executable(machine: str, number: int) -> None:
    program = hello_elf(machine, b"x")
    assert program[:6] == b"\x7fELF\x02\x01"
    kind, elf_machine = struct.unpack_from("<HH", program, 16)
    offset, size, count = (
        *struct.unpack_from("<Q", program, 32),
        *struct.unpack_from("<HH", program, 54),
    )
    headers = [struct.unpack_from("<II", program, offset + i * size) for i in range(count)]
    assert (kind, elf_machine) == (2, number)
    assert headers == [(1, 5), (0x6474E551, 6)]  # PT_LOAD read, execute; PT_GNU_STACK read, write


def test_segment_ends_with_the_message() -> None:
    program = hello_elf("amd64", b"the end")
    file_bytes, memory_bytes = struct.unpack_from("<QQ", program, 64 + 32)
    assert file_bytes == memory_bytes == len(program)
    assert program.endswith(b"the end")


@pytest.mark.parametrize("message", [b"", b"x" * (MAX_MESSAGE_BYTES + 1)])
def test_message_that_does_not_fit_is_refused(message: bytes) -> None:
    with pytest.raises(InvalidArgument, match="does not fit"):
        hello_elf("amd64", message)


def test_other_machine_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match='"riscv64"'):
        hello_elf("riscv64", b"x")
