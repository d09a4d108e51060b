"""The closure of libraries; the dynamic loader itself, by way of ldd, says what is right."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from dockerlab.hub.fromhost import SYSTEM_FOLDERS, find_program
from dockerlab.hub.libraries import CACHE, Libraries, LibraryNotFound, parse_cache

PROGRAMS: tuple[str, ...] = (
    "ls",
    "cat",
    "sh",
    "bash",
    "sleep",
    "ps",
    "ip",
    "wget",
    "tar",
    "find",
    "grep",
    "sed",
)
PROGRAMS += ("mount", "git", "perl", "openssl", "python3", "ssh", "docker", "runc", "skopeo")


def ldd(program: Path) -> set[Path]:
    """Return what the loader would load, symlinks resolved; without the kernel's own vdso."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    found = set()
    for line in done.stdout.splitlines():
        words = line.split()
        path = words[2] if "=>" in words else words[0]
        if path.startswith("/"):
            found.add(Path(path).resolve())
    return found


def test_the_closure_is_the_loaders_own() -> None:
    found = filter(None, (find_program(name, SYSTEM_FOLDERS) for name in PROGRAMS))
    programs = [path.resolve() for path in found]
    libraries = Libraries()

    assert len(programs) >= 12
    for program in programs:
        ours = {path.resolve() for path in libraries.closure(program)}
        assert ours == ldd(program), program


def test_the_cache_has_the_c_library() -> None:
    cache = parse_cache(CACHE.read_bytes())

    assert any(path.is_file() for path in cache["libc.so.6"])


@pytest.mark.parametrize("content", [b"", b"ld.so-1.7.0", b"glibc-ld.so.cache1.1" + b"\xff" * 100])
def test_a_cache_that_is_not_understood_is_empty(content: bytes) -> None:
    assert parse_cache(content) == {}


def test_libraries_for_certain_processors_only_are_left_out() -> None:
    strings = b"libx.so.1\0/lib/v3/libx.so.1\0/lib/libx.so.1\0"
    begin = 48 + 2 * 24
    entries = [(begin + 10, 1 << 62), (begin + 10 + 18, 0)]
    data = struct.pack("<20sII20x", b"glibc-ld.so.cache1.1", 2, len(strings))
    for path, hwcap in entries:
        data += struct.pack("<iIIIQ", 0x303, begin, path, 0, hwcap)

    assert parse_cache(data + strings) == {"libx.so.1": (Path("/lib/libx.so.1"),)}


def test_a_library_that_is_not_there_is_named(tmp_path: Path) -> None:
    program = tmp_path / "program"
    content = Path("/bin/ls").resolve().read_bytes()
    program.write_bytes(content.replace(b"libc.so.6\0", b"libc.so.9\0"))

    with pytest.raises(LibraryNotFound, match=r'needs the library "libc\.so\.9"'):
        Libraries().closure(program)


def test_a_library_beside_the_program_is_found_by_its_runpath(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    library = Path(shutil.copy(Path("/bin/ls").resolve(), tmp_path / "lib" / "libown.so"))
    program = tmp_path / "bin" / "program"
    program.write_bytes(with_runpath(Path("/bin/ls").resolve().read_bytes(), b"$ORIGIN/../lib"))

    closure = Libraries().closure(program)

    assert library.resolve() in {path.resolve() for path in closure}


def with_runpath(elf: bytes, runpath: bytes) -> bytes:
    """Let a program need `libown.so` from `runpath`: two entries more, in a new segment."""
    count = struct.unpack_from("<H", elf, 56)[0]
    table = struct.unpack_from("<Q", elf, 32)[0]
    headers = [list(struct.unpack_from("<IIQQQQQQ", elf, table + 56 * i)) for i in range(count)]
    [dynamic] = [h for h in headers if h[0] == 2]
    old = elf[dynamic[2] : dynamic[2] + dynamic[5]]
    entries = list(struct.iter_unpack("<qQ", old))
    [strings] = [value for tag, value in entries if tag == 5]
    load = next(h for h in headers if h[0] == 1 and h[3] <= strings < h[3] + h[5])
    names = elf[load[2] + strings - load[3] :][: next(v for t, v in entries if t == 10)]
    # The strings, longer by two, and the entries go to the end; one LOAD covers both.
    address, offset = 1 << 32, len(elf)
    added = names + b"libown.so\0" + runpath + b"\0"
    new = [(1, len(names)), (29, len(names) + 10)]
    new += [(t, address if t == 5 else v) for t, v in entries if t != 0] + [(0, 0)]
    packed = b"".join(struct.pack("<qQ", *each) for each in new)
    dynamic[2], dynamic[5] = offset + len(added), len(packed)
    note = next(h for h in headers if h[0] == 4)  # PT_NOTE is not needed
    note[:] = [1, 4, offset, address, address, len(added), len(added), 1]
    result = bytearray(elf + added + packed)
    for index, header in enumerate(headers):
        struct.pack_into("<IIQQQQQQ", result, table + 56 * index, *header)
    return bytes(result)
