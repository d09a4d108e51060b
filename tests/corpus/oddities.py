"""An image of everything that an archive can say of files, in all the ways in which it is said.

Left out is what tools read differently: an implied parent that a lower layer has with another mode,
a hard link to a file of a lower layer.
"""

import gzip
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.corpus.layers import BuiltLayer

__all__ = ["write_oddities"]

# VFS_CAP_REVISION_2 with the effective bit and CAP_NET_RAW; capabilities(7), "File capabilities".
_MAY_PING = bytes.fromhex("0100000200200000" + 24 * "0")
_TIME_S = 1_600_000_000
_SPARSE_BYTES = 8 << 20
_HOLE_BYTES = 5 << 20


class _Layer:
    """Entries of one layer; every one has a time of its own, to the nanosecond where PAX has it."""

    def __init__(self, kind: int) -> None:
        self._buffer = io.BytesIO()
        self._kind = kind
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w", format=kind)
        self._count = 0

    def add(
        self,
        name: str,
        data: bytes = b"",
        *,
        kind: bytes = tarfile.REGTYPE,
        mode: int = 0o644,
        owner: tuple[int, int] = (0, 0),
        link: str = "",
        device: tuple[int, int] = (0, 0),
        xattrs: dict[str, bytes] | None = None,
        mtime: str = "",
    ) -> None:
        """Add one entry."""
        self._count += 1
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(data)
        entry.uid, entry.gid = owner
        entry.devmajor, entry.devminor = device
        entry.mtime = _TIME_S + self._count
        if self._kind == tarfile.PAX_FORMAT:
            entry.pax_headers = {"mtime": mtime or f"{entry.mtime}.{self._count:09}"} | {
                f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape")
                for key, value in (xattrs or {}).items()
            }
        self._tar.addfile(entry, io.BytesIO(data))

    def folder(self, name: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> None:
        """Add a folder."""
        self.add(name, kind=tarfile.DIRTYPE, mode=mode, owner=owner)

    def finish(self) -> bytes:
        """Return the archive."""
        self._tar.close()
        return self._buffer.getvalue()


def write_oddities(folder: Path) -> list[BuiltLayer]:
    """Write the layers, lowest first."""
    layers = [_lowest(), _gnu(), _sparse(), _second(), _empty(), _third()]
    return [_store(folder / f"{number}.tar.gz", data) for number, data in enumerate(layers)]


def _lowest() -> bytes:
    layer = _Layer(tarfile.PAX_FORMAT)
    for name in ("./", "./etc", "usr", "usr/bin", "dev", "kinds", "names", "gone", "hidden"):
        layer.folder(name)
    layer.folder("root", 0o700)
    layer.folder("tmp", 0o1777)
    layer.folder("shared", 0o2770, (5, 6))
    layer.folder("closed", 0o000, (7, 0))
    layer.add("closed/inside", b"in")
    layer.add("etc/shadow", b"secret", mode=0o640, owner=(0, 42))
    layer.add("usr/bin/su", b"\x7fELF" * 5000, mode=0o4755)
    layer.add("usr/bin/sudo", kind=tarfile.LNKTYPE, link="usr/bin/su", mode=0o4755)
    layer.add("usr/bin/wall", b"wall", mode=0o2755, owner=(0, 5))
    layer.add("usr/bin/ping", b"ping", mode=0o755, xattrs={"security.capability": _MAY_PING})
    layer.add("etc/noted", b"x", xattrs={"user.note": b"\x01\xff=\n", "user.empty": b"-"})
    layer.add("kinds/link", kind=tarfile.SYMTYPE, link="/etc/shadow", mode=0o777, owner=(3, 4))
    layer.add("kinds/dangling", kind=tarfile.SYMTYPE, link="../../no/where", mode=0o777)
    layer.add("kinds/fifo", kind=tarfile.FIFOTYPE, mode=0o600, owner=(1, 1))
    layer.add("dev/null", kind=tarfile.CHRTYPE, mode=0o666, device=(1, 3))
    layer.add("dev/sda", kind=tarfile.BLKTYPE, mode=0o660, owner=(0, 6), device=(8, 0))
    layer.add("kinds/empty")
    layer.add("kinds/old", b"old", mtime="-86400.5")
    layer.add("kinds/far", b"far", owner=(3_000_000, 4_000_000))
    layer.add("names/caf\udce9", b"latin 1")
    layer.add("names/" + "long" * 40, b"long")
    for depth in range(1, 5):
        layer.folder("names" + ("/" + "x" * 180) * depth)
    layer.add("names" + ("/" + "x" * 180) * 4 + "/deep", b"deep")
    layer.add("names/to-long", kind=tarfile.SYMTYPE, link="y" * 300, mode=0o777)
    layer.add("names/new\nline \\ %41 é", b"odd")
    for name in ("gone/file", "gone/folder/file", "hidden/a", "hidden/b/c", "kinds/turned"):
        layer.add(name, name.encode())
    layer.folder("kinds/folder")
    layer.add("kinds/folder/file", b"in a folder that becomes a file")
    # The later entry of one name counts.
    layer.add("kinds/twice", b"first")
    layer.add("kinds/twice", b"second and longer", mode=0o600)
    return layer.finish()


def _gnu() -> bytes:
    """The same in GNU's spelling: long names in entries of their own, numbers in base 256."""
    layer = _Layer(tarfile.GNU_FORMAT)
    layer.folder("gnu", 0o755, (3_000_000, 4_000_000))
    layer.add("gnu/" + "n" * 240, b"long", owner=(3_000_000, 0))
    layer.add("gnu/caf\udce9", b"latin 1")
    layer.add("gnu/link", kind=tarfile.SYMTYPE, link="z" * 300, mode=0o777)
    layer.add("gnu/hard", kind=tarfile.LNKTYPE, link="gnu/" + "n" * 240, owner=(3_000_000, 0))
    return layer.finish()


def _sparse() -> bytes:
    with tempfile.TemporaryDirectory(prefix="dockerlab-corpus-") as place:
        with (Path(place) / "sparse").open("wb") as file:
            file.seek(_HOLE_BYTES)
            file.write(b"behind the hole")
            file.truncate(_SPARSE_BYTES)
        os.utime(file.name, ns=(0, _TIME_S * 10**9))
        command = ["tar", "-c", "-S", "--format=posix", "--numeric-owner"]
        command += [
            "--owner=0",
            "--group=0",
            "--mode=0644",
            "--pax-option=delete=atime,delete=ctime",
        ]
        command += ["-C", place, "sparse"]
        return subprocess.run(command, capture_output=True, check=True).stdout


def _second() -> bytes:
    layer = _Layer(tarfile.PAX_FORMAT)
    layer.folder("gone")
    layer.add("gone/.wh.file")
    layer.add("gone/.wh.folder")
    layer.folder("hidden", 0o750)
    layer.add("hidden/.wh..wh..opq")
    layer.add("hidden/new", b"new")
    layer.folder("kinds", 0o711)
    layer.add("kinds/folder", b"a file now")
    layer.folder("kinds/turned")
    layer.add("kinds/turned/file", b"a folder now")
    layer.add("kinds/link", b"no link any more", mode=0o600)
    layer.add("kinds/empty", kind=tarfile.SYMTYPE, link="twice", mode=0o777)
    return layer.finish()


def _empty() -> bytes:
    return _Layer(tarfile.PAX_FORMAT).finish()


def _third() -> bytes:
    layer = _Layer(tarfile.USTAR_FORMAT)
    layer.folder("hidden", 0o755)
    layer.folder("hidden/b", 0o700)
    layer.add("hidden/b/again", b"a folder of the first layer, again")
    layer.folder("gone")
    layer.add("gone/file", b"is back")
    return layer.finish()


def _store(path: Path, archive: bytes) -> BuiltLayer:
    packed = gzip.compress(archive, 6, mtime=0)
    path.write_bytes(packed)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        entries = len(tar.getmembers())
    return BuiltLayer(
        file=path.name,
        digest=f"sha256:{hashlib.sha256(packed).hexdigest()}",
        size=len(packed),
        diff_id=f"sha256:{hashlib.sha256(archive).hexdigest()}",
        entries=entries,
    )
