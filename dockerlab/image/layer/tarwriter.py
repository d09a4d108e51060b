"""Writing a tar archive as a stream: ustar headers, with PAX records where those are too small.

No file is looked at here; `write` gets the bytes in order. See pax(1), "ustar Interchange Format"
and "pax Header Block". The other direction is `tar`.
"""

from collections.abc import Callable, Sequence

from dockerlab.image.layer.tar import DIRECTORY, REGULAR

__all__ = ["BLOCK_BYTES", "TarWriter", "padding"]

BLOCK_BYTES = 512

_PAX = b"x"
_NAME_BYTES, _LINK_BYTES = 100, 100
_OCTAL_7, _OCTAL_11 = 8**7 - 1, 8**11 - 1
_XATTR = b"SCHILY.xattr."
_SECOND_NS = 10**9


class TarWriter:
    """Writes members; `finish` writes the end.

    Parameters
    ----------
    write : callable
        Takes the next bytes.
    has_exact_times : bool
        Write times to the nanosecond, by a PAX record where there is a fraction, and not in whole
        seconds as Docker does.
    """

    def __init__(self, write: Callable[[bytes], None], *, has_exact_times: bool = False) -> None:
        self._write = write
        self._has_exact_times = has_exact_times

    def member(  # noqa: PLR0913 - the fields of a header, named at the calls
        self,
        path: bytes,
        kind: bytes,
        *,
        mode: int = 0,
        uid: int = 0,
        gid: int = 0,
        size: int = 0,
        mtime_ns: int = 0,
        link: bytes = b"",
        device: tuple[int, int] = (0, 0),
        xattrs: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Write the header of one member; the caller writes `size` bytes and `padding` behind it.

        Parameters
        ----------
        path : bytes
            As it is to stand in the archive; a folder gets a slash behind it.
        mtime_ns : int
            Since the epoch; what lies before it becomes the epoch.
        """
        if kind == DIRECTORY and not path.endswith(b"/"):
            path += b"/"
        mtime, fraction_ns = divmod(max(0, mtime_ns), _SECOND_NS)
        records = [(_XATTR + key, value) for key, value in xattrs]
        if len(path) > _NAME_BYTES or not path.isascii():
            records.append((b"path", path))
        if len(link) > _LINK_BYTES or not link.isascii():
            records.append((b"linkpath", link))
        for key, number, most in (
            (b"size", size, _OCTAL_11),
            (b"mtime", mtime, _OCTAL_11),
            (b"uid", uid, _OCTAL_7),
            (b"gid", gid, _OCTAL_7),
        ):
            if number > most:
                records.append((key, b"%d" % number))
        if fraction_ns and self._has_exact_times:
            records = [record for record in records if record[0] != b"mtime"]
            records.append((b"mtime", b"%d.%09d" % (mtime, fraction_ns)))
        if records:
            data = b"".join(_record(key, value) for key, value in records)
            self._write(_header(b"PaxHeaders.0/extended", _PAX, size=len(data), mode=0o644))
            self._write(data + padding(len(data)))
        self._write(
            _header(
                path,
                kind,
                mode=mode,
                uid=uid if uid <= _OCTAL_7 else 0,
                gid=gid if gid <= _OCTAL_7 else 0,
                size=size if size <= _OCTAL_11 else 0,
                mtime=mtime if mtime <= _OCTAL_11 else 0,
                link=link,
                device=device,
            )
        )

    def file(self, path: bytes, data: bytes, *, mode: int = 0o644, mtime_ns: int = 0) -> None:
        """Write a whole small file."""
        self.member(path, REGULAR, mode=mode, size=len(data), mtime_ns=mtime_ns)
        self._write(data + padding(len(data)))

    def finish(self) -> None:
        """Write the end of the archive."""
        self._write(bytes(2 * BLOCK_BYTES))


def padding(size: int) -> bytes:
    """Return what fills the last block of `size` bytes."""
    return bytes(-size % BLOCK_BYTES)


def _record(key: bytes, value: bytes) -> bytes:
    r"""Return ``LENGTH KEY=VALUE\n``, whose length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def _header(  # noqa: PLR0913 - the fields of a header
    path: bytes,
    kind: bytes,
    *,
    mode: int,
    size: int,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode & 0o7777, uid, gid, size, mtime)
    begin = path[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0") + numbers
    end = kind + link[:_LINK_BYTES].ljust(_LINK_BYTES, b"\0") + b"ustar\x0000"
    end += bytes(64) + b"%07o\0%07o\0" % device + bytes(155 + 12)
    # The sum is taken with blanks in its own place.
    total = sum(begin) + sum(end) + 8 * ord(" ")
    return begin + b"%06o\0 " % total + end
