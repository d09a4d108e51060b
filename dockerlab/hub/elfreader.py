"""Read what an ELF file wants of the dynamic loader: interpreter, libraries, search paths.

Nothing is executed, and nothing is believed: every offset is checked against the file. See elf(5)
and ld.so(8). Only 64-bit little-endian files are read, which is what amd64 and arm64 have.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from dockerlab.errors import InvalidArgument

__all__ = ["ElfFile", "is_elf", "read_elf"]

# The names of elf(5), in linux/elf.h.
ELF_MAGIC = b"\x7fELF"
ELFCLASS64 = 2
ELFDATA2LSB = 1
PT_LOAD = 1
PT_DYNAMIC = 2
PT_INTERP = 3
DT_NULL = 0
DT_NEEDED = 1
DT_STRTAB = 5
DT_RPATH = 15
DT_RUNPATH = 29

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_DYN = struct.Struct("<qQ")

# No linker writes more; a file that says so is damaged.
_MAX_SEGMENTS = 512
_MAX_DYNAMIC_BYTES = 1 << 20
_MAX_STRING_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """What a program or a library asks for.

    Parameters
    ----------
    machine : int
        ``e_machine``: a library fits only a program of the same one.
    interpreter : str
        Path of the dynamic loader; '' for a library and for a static program.
    needed : tuple of str
        Names of the libraries, in the order in which they are loaded.
    rpath, runpath : tuple of str
        Folders to search, as they were written: ``$ORIGIN`` is not expanded.
    """

    machine: int
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def is_elf(path: Path) -> bool:
    """Tell whether a file begins as an ELF file does.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(ELF_MAGIC)) == ELF_MAGIC


def read_elf(path: Path) -> ElfFile:
    """Read the headers and the dynamic section of a program or library.

    Raises
    ------
    InvalidArgument
        It is no ELF file, a damaged one, or not a 64-bit little-endian one.
    OSError
        It cannot be read.
    """
    data = path.read_bytes()
    try:
        return _parse(data)
    except (struct.error, ValueError, OverflowError) as exc:
        raise InvalidArgument(f'"{path}" is not a 64-bit ELF file: {exc}') from exc


def _parse(data: bytes) -> ElfFile:
    ident, _, machine, _, _, offset, *_, entry_size, count, _, _, _ = _EHDR.unpack_from(data)
    if ident[:4] != ELF_MAGIC:
        raise ValueError("it does not begin as one")
    if ident[4:6] != bytes((ELFCLASS64, ELFDATA2LSB)):
        raise ValueError("it is of another class or byte order")
    if count > _MAX_SEGMENTS or (count and entry_size != _PHDR.size):
        raise ValueError("its program headers are damaged")
    segments = []
    for index in range(count):
        fields = _PHDR.unpack_from(data, offset + index * _PHDR.size)
        kind, _, at, address, _, size, _, _ = fields
        segments.append(_Segment(kind, at, address, size))
    interpreter = next((_string(data, s.offset) for s in segments if s.kind == PT_INTERP), "")
    dynamic = next((s for s in segments if s.kind == PT_DYNAMIC), None)
    if dynamic is None:
        return ElfFile(machine=machine, interpreter=interpreter)
    entries = _dynamic(data, dynamic)
    strings = next((value for tag, value in entries if tag == DT_STRTAB), None)
    if strings is None:
        return ElfFile(machine=machine, interpreter=interpreter)
    table = _file_offset(segments, strings)

    def texts(wanted: int) -> tuple[str, ...]:
        """Return the strings that entries of one tag point to."""
        return tuple(_string(data, table + value) for tag, value in entries if tag == wanted)

    return ElfFile(
        machine=machine,
        interpreter=interpreter,
        needed=texts(DT_NEEDED),
        rpath=_folders(texts(DT_RPATH)),
        runpath=_folders(texts(DT_RUNPATH)),
    )


def _dynamic(data: bytes, segment: _Segment) -> list[tuple[int, int]]:
    end = segment.offset + min(segment.size, _MAX_DYNAMIC_BYTES)
    entries = []
    for offset in range(segment.offset, end - _DYN.size + 1, _DYN.size):
        tag, value = _DYN.unpack_from(data, offset)
        if tag == DT_NULL:
            break
        entries.append((tag, value))
    return entries


def _file_offset(segments: list[_Segment], address: int) -> int:
    for segment in segments:
        if segment.kind == PT_LOAD and 0 <= address - segment.address < segment.size:
            return segment.offset + address - segment.address
    raise ValueError("its table of strings is in no segment")


def _string(data: bytes, offset: int) -> str:
    end = data.find(b"\0", offset, offset + _MAX_STRING_BYTES)
    if end < 0:
        raise ValueError("a string in it has no end")
    return data[offset:end].decode("utf-8", "surrogateescape")


def _folders(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(folder for text in texts for folder in text.split(":") if folder)
