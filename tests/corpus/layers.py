"""Write layers to disk: tar, gzip and both digests in one pass, in constant memory.

The same entries give the same bytes: times are fixed and owners numeric. See image-spec/layer.md.
"""

import hashlib
import io
import stat
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

__all__ = ["BuiltLayer", "LayerWriter"]

MTIME_S = 1_700_000_000
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltLayer:
    """A finished layer. `size` counts compressed bytes, `file` is a name in the image's folder."""

    file: str
    digest: str
    size: int
    diff_id: str
    entries: int


class _Sink(io.RawIOBase):
    """Where `tarfile` writes to: digests before and after compression, and a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._compressor = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self.diff = hashlib.sha256()
        self.blob = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile hands over bytes
        self.diff.update(data)
        self._store(self._compressor.compress(data))
        return len(data)

    def finish(self) -> None:
        self._store(self._compressor.flush())
        self._file.close()

    def _store(self, data: bytes) -> None:
        self.blob.update(data)
        self.size += len(data)
        self._file.write(data)


class LayerWriter:
    """Collects the entries of one layer; parents of an entry are added where they are missing.

    Parameters
    ----------
    path : Path
        The compressed file to make.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sink = _Sink(path)
        self._tar = tarfile.open(  # noqa: SIM115 - closed by __exit__
            fileobj=self._sink, mode="w|", format=tarfile.GNU_FORMAT, bufsize=_BUFFER_BYTES
        )
        self._folders: set[str] = set()
        self._entries = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tar.close()
        self._sink.finish()

    @property
    def built(self) -> BuiltLayer:
        """What was made; valid once the block has ended."""
        return BuiltLayer(
            file=self._path.name,
            digest=f"sha256:{self._sink.blob.hexdigest()}",
            size=self._sink.size,
            diff_id=f"sha256:{self._sink.diff.hexdigest()}",
            entries=self._entries,
        )

    def folder(self, name: str, mode: int = 0o755) -> None:
        """Add a folder, unless it is there already."""
        if name not in self._folders:
            self._folders.add(name)
            entry = self._entry(name, mode)
            entry.type = tarfile.DIRTYPE
            self._add(entry)

    def data(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Add a file with these bytes."""
        self.stream(name, [data], len(data), mode)

    def stream(self, name: str, chunks: Iterable[bytes], size: int, mode: int = 0o644) -> None:
        """Add a file of exactly `size` bytes that are made as they are needed."""
        entry = self._entry(name, mode)
        entry.size = size
        self._add(entry, _Chunks(chunks))

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        entry = self._entry(name, 0o777)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._add(entry)

    def copy(self, source: Path, name: str) -> None:
        """Add a file, link or folder of the host: content, mode and owner."""
        status = source.lstat()
        if stat.S_ISLNK(status.st_mode):
            self.link(name, str(source.readlink()))
            return
        entry = self._entry(name, stat.S_IMODE(status.st_mode))
        entry.uid, entry.gid = status.st_uid, status.st_gid
        if stat.S_ISDIR(status.st_mode) and name not in self._folders:
            self._folders.add(name)
            entry.type = tarfile.DIRTYPE
            self._add(entry)
        elif stat.S_ISREG(status.st_mode):
            entry.size = status.st_size
            with source.open("rb") as file:
                self._add(entry, file)

    def tree(self, source: Path, name: str, *, skip: frozenset[str] = frozenset()) -> None:
        """Add a folder of the host and what is below it, sorted.

        Parameters
        ----------
        source : Path
            The folder.
        name : str
            Its name in the layer; '' for the root, which gets no entry.
        skip : frozenset of str
            Paths relative to `source` that are left out together with what is below them.
        """
        if name:
            self.copy(source, name)
        for path in sorted(source.rglob("*")):
            relative = path.relative_to(source)
            if not any(str(part) in skip for part in (relative, *relative.parents)):
                self.copy(path, f"{name}/{relative}".lstrip("/"))

    def whiteout(self, name: str) -> None:
        """Remove a file or folder of the layers below (layer.md#whiteouts)."""
        folder, _, last = name.rpartition("/")
        self.data(f"{folder}/.wh.{last}".lstrip("/"), b"")

    def opaque(self, name: str) -> None:
        """Hide what the layers below have in a folder (layer.md#opaque-whiteout)."""
        self.folder(name)
        self.data(f"{name}/.wh..wh..opq", b"")

    def _entry(self, name: str, mode: int) -> tarfile.TarInfo:
        parent = name.rpartition("/")[0]
        if parent:
            self.folder(parent)
        entry = tarfile.TarInfo(name)
        entry.mode = mode
        entry.mtime = MTIME_S
        return entry

    def _add(self, entry: tarfile.TarInfo, content: "IO[bytes] | _Chunks | None" = None) -> None:
        self._tar.addfile(entry, content)  # type: ignore[arg-type]  # it only reads
        self._entries += 1


class _Chunks:
    """A file object over an iterable of bytes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._rest += chunk
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
