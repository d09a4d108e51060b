import struct
from pathlib import Path

import pytest

from dockerlab.errors import InvalidArgument
from dockerlab.hub.elf import hello_elf
from dockerlab.hub.elfreader import is_elf, read_elf


def test_a_program_names_its_loader_and_its_libraries() -> None:
    elf = read_elf(Path("/bin/ls").resolve())

    assert Path(elf.interpreter).is_file()
    assert any(name.startswith("libc.") for name in elf.needed)


def test_a_static_program_needs_nothing(tmp_path: Path) -> None:
    program = tmp_path / "hello"
    program.write_bytes(hello_elf("amd64", b"hello\n"))

    elf = read_elf(program)

    assert (elf.machine, elf.interpreter, elf.needed) == (62, "", ())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "requires a buffer"),
        (b"#!/bin/sh\n" * 20, "it does not begin as one"),
        (b"\x7fELF\x01" + bytes(200), "another class"),
    ],
)
def test_what_is_no_elf_file_is_one_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(InvalidArgument, match=reason):
        read_elf(tmp_path / "file")
    assert is_elf(tmp_path / "file") == content.startswith(b"\x7fELF")


def test_a_damaged_file_is_refused_wherever_it_is_damaged(tmp_path: Path) -> None:
    whole = Path("/bin/ls").resolve().read_bytes()
    file = tmp_path / "damaged"
    for end in range(0, 64 + 56 * 14, 7):
        file.write_bytes(whole[:end])
        with pytest.raises(InvalidArgument):
            read_elf(file)
    for offset in range(32, 64 + 56 * 14, 8):
        file.write_bytes(whole[:offset] + struct.pack("<Q", 2**64 - 1) + whole[offset + 8 :])
        try:
            read_elf(file)
        except InvalidArgument as exc:
            assert "is not a 64-bit ELF file" in exc.message  # noqa: PT017 - either way is right
