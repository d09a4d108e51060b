"""Find the shared libraries of a program where the dynamic loader would.

The order of ld.so(8): RPATH (where there is no RUNPATH), RUNPATH, ``/etc/ld.so.cache``, the default
folders. Nothing is executed, and LD_LIBRARY_PATH is not asked: an image must not depend on it.
musl's loader has no cache, and its folders are in ``/etc/ld-musl-*.path``.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dockerlab.errors import InvalidArgument, NotFound
from dockerlab.hub.elfreader import ElfFile, read_elf

__all__ = ["Libraries", "LibraryNotFound", "parse_cache"]

CACHE = Path("/etc/ld.so.cache")
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_CACHE_HEADER = struct.Struct("<20sII20x")
_CACHE_ENTRY = struct.Struct("<iIIIQ")

# e_machine -> Debian's folder of that machine, and what the loader puts in place of $PLATFORM.
_MULTIARCH = {62: "x86_64-linux-gnu", 183: "aarch64-linux-gnu"}
_PLATFORM = {62: "x86_64", 183: "aarch64"}
_GLIBC_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
_MUSL_FOLDERS = ("/lib", "/usr/local/lib", "/usr/lib")


class LibraryNotFound(NotFound):
    """A library that a program needs is not on this machine."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An object as the loader has it, and the RPATHs that count for what it needs."""

    path: Path
    elf: ElfFile
    rpath: tuple[str, ...]


@dataclass(slots=True)
class Libraries:
    """The libraries of this machine.

    Parameters
    ----------
    cache : Mapping
        Name of a library -> paths, best first; by default what ``/etc/ld.so.cache`` has.
    """

    cache: Mapping[str, tuple[Path, ...]] | None = None
    _read: dict[Path, ElfFile | None] = field(default_factory=dict)

    def closure(self, program: Path) -> list[Path]:
        """Return the loader and every library that `program` needs, as the loader finds them.

        Raises
        ------
        LibraryNotFound
            One is not there.
        InvalidArgument
            `program` is no ELF file of this kind.
        OSError
            A file cannot be read.

        Notes
        -----
        Breadth first, each name once, as the loader does it; the paths may be symlinks.
        """
        elf = read_elf(program)
        found: list[Path] = []
        names: set[str] = set()
        if elf.interpreter:
            found.append(Path(elf.interpreter))
            names.add(Path(elf.interpreter).name)
        waiting = [_Loaded(program, elf, _expanded(elf.rpath, program, elf))]
        is_musl = "ld-musl" in elf.interpreter
        while waiting:
            loader = waiting.pop(0)
            for name in loader.elf.needed:
                if name in names:
                    continue
                names.add(name)
                path, library = self._find(name, loader, is_musl=is_musl)
                found.append(path)
                own = () if library.runpath else _expanded(library.rpath, path, library)
                waiting.append(_Loaded(path, library, own + loader.rpath))
        return found

    def find(self, name: str, like: Path) -> Path | None:
        """Return a library by its name, for the machine of the file `like`; None without one."""
        elf = read_elf(like)
        try:
            loader = _Loaded(like, elf, ())
            return self._find(name, loader, is_musl="ld-musl" in elf.interpreter)[0]
        except LibraryNotFound:
            return None

    def unsearched(self, found: list[Path], like: Path) -> set[str]:
        """Return the folders of `found` that a loader without a cache does not search by itself.

        `like` is the file that needs them: what its own RUNPATH says is searched.
        """
        elf = read_elf(like)
        searched = set(default_folders(elf, is_musl="ld-musl" in elf.interpreter))
        searched |= set(_expanded(elf.rpath + elf.runpath, like, elf))
        real = {Path(folder).resolve() for folder in searched}
        return {str(path.parent) for path in found if path.parent.resolve() not in real}

    def _find(self, name: str, loader: _Loaded, *, is_musl: bool) -> tuple[Path, ElfFile]:
        for path in self._candidates(name, loader, is_musl=is_musl):
            library = self._library(path)
            if library is not None and library.machine == loader.elf.machine:
                return path, library
        raise LibraryNotFound(
            f'"{loader.path}" needs the library "{name}", which is not on this machine',
            "install the package that has it",
        )

    def _candidates(self, name: str, loader: _Loaded, *, is_musl: bool) -> Iterator[Path]:
        if "/" in name:
            (expanded,) = _expanded((name,), loader.path, loader.elf)
            yield Path(expanded)
            return
        folders = () if loader.elf.runpath else loader.rpath
        folders += _expanded(loader.elf.runpath, loader.path, loader.elf)
        yield from (Path(folder, name) for folder in folders)
        if not is_musl:
            yield from self._cached(name)
        yield from (Path(folder, name) for folder in default_folders(loader.elf, is_musl=is_musl))

    def _cached(self, name: str) -> tuple[Path, ...]:
        if self.cache is None:
            try:
                self.cache = parse_cache(CACHE.read_bytes())
            except OSError:
                self.cache = {}
        return self.cache.get(name, ())

    def _library(self, path: Path) -> ElfFile | None:
        if path not in self._read:
            try:
                self._read[path] = read_elf(path)
            except (OSError, InvalidArgument):
                # Not there, of another class, or a linker script: the loader goes on, too.
                self._read[path] = None
        return self._read[path]


def default_folders(elf: ElfFile, *, is_musl: bool) -> tuple[str, ...]:
    """Return the folders that the loader searches when nothing else says where."""
    if is_musl:
        (path, *_) = [*Path("/etc").glob("ld-musl-*.path"), Path("/dev/null")]
        written = path.read_text(encoding="utf-8", errors="surrogateescape")
        return tuple(written.replace("\n", ":").strip(":").split(":")) if written else _MUSL_FOLDERS
    multiarch = _MULTIARCH.get(elf.machine)
    debian = (f"/lib/{multiarch}", f"/usr/lib/{multiarch}") if multiarch else ()
    return debian + _GLIBC_FOLDERS


def parse_cache(data: bytes) -> dict[str, tuple[Path, ...]]:
    """Read the names and paths of ``/etc/ld.so.cache``; nothing from one that is not understood.

    Libraries for certain processors only (glibc-hwcaps) are left out, so that the image runs, and
    is the same, on every machine of the kind. See sysdeps/generic/dl-cache.h of glibc.
    """
    # A cache that older loaders read, too, has theirs before the new one.
    begin = data.find(_CACHE_MAGIC)
    found: dict[str, list[Path]] = {}
    try:
        _, count, _ = _CACHE_HEADER.unpack_from(data, begin) if begin >= 0 else (b"", 0, 0)
        for index in range(min(count, len(data) // _CACHE_ENTRY.size)):
            at = begin + _CACHE_HEADER.size + index * _CACHE_ENTRY.size
            _, key, value, _, hwcap = _CACHE_ENTRY.unpack_from(data, at)
            if hwcap == 0:
                name = os.fsdecode(_until_nul(data, begin + key))
                found.setdefault(name, []).append(
                    Path(os.fsdecode(_until_nul(data, begin + value)))
                )
    except (struct.error, ValueError):
        return {}
    return {name: tuple(paths) for name, paths in found.items()}


def _until_nul(data: bytes, offset: int) -> bytes:
    return data[offset : data.index(b"\0", offset)]


def _expanded(folders: tuple[str, ...], path: Path, elf: ElfFile) -> tuple[str, ...]:
    """Put in what ld.so(8) calls dynamic string tokens."""
    values = {"ORIGIN": str(path.resolve().parent), "PLATFORM": _PLATFORM.get(elf.machine, "")}
    values["LIB"] = "lib64" if Path("/usr/lib64").is_dir() else "lib"
    if Path("/usr/lib", _MULTIARCH.get(elf.machine, "none")).is_dir():
        values["LIB"] = f"lib/{_MULTIARCH[elf.machine]}"
    for name, value in values.items():
        folders = tuple(
            f.replace(f"${name}", value).replace(f"${{{name}}}", value) for f in folders
        )
    return folders
