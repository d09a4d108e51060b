"""Reading a tar archive as a stream: ustar, PAX and GNU headers become entries.

No file is touched here and no name is trusted: `apply` decides what an entry may do. The standard
library's `tarfile` is not used because it is three to five times slower and wants to seek. See
pax(1), "ustar Interchange Format" and "pax Header Block", and GNU tar's manual, "Basic Tar
Format".
"""

import struct
import zlib
from collections.abc import Iterator

from dockerlab.image.layer.fault import LayerFault, Limits, shown
from dockerlab.image.layer.source import Source
from dockerlab.image.layer.sparse import (
    Extents,
    check_extents,
    extents_from_header,
    extents_from_records,
)

__all__ = [
    "BLOCK_DEVICE",
    "CHARACTER_DEVICE",
    "DIRECTORY",
    "FIFO",
    "HARD_LINK",
    "REGULAR",
    "SYMLINK",
    "Entry",
    "TarReader",
]

# Type flags, pax(1).
REGULAR, HARD_LINK, SYMLINK = b"0", b"1", b"2"
CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO = b"3", b"4", b"5", b"6"
_OLD_REGULAR, _CONTIGUOUS = b"\0", b"7"
_PAX, _PAX_GLOBAL = b"x", b"g"
# GNU tar's manual, "Extensions to the tar Archive Format".
_LONG_NAME, _LONG_LINK, _SPARSE = b"L", b"K", b"S"

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
# name mode uid gid size mtime checksum type link magic uname gname major minor prefix
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_CHECKSUM = slice(148, 156)
_BLANK_SUM = 8 * 32  # the checksum is taken with spaces in its place
_ADLER_PRIME = 65521
_POSIX_MAGIC = b"ustar\x00"
_XATTR = b"SCHILY.xattr."
_WITHOUT_DATA = frozenset((HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO))
_WITH_DATA = frozenset((REGULAR, _OLD_REGULAR, _CONTIGUOUS, _SPARSE))
# A chain of headers that never comes to a file would go on for ever.
_MAX_META_IN_A_ROW = 32
_MAX_DIGITS = 20
_MAX_KNOWN_NUMBERS = 1024
_NANOSECONDS = 9
_SECOND_NS = 10**9
_MAX_ID = 0xFFFFFFFE  # the one above means "unchanged" to chown(2)
_MAX_MAJOR, _MAX_MINOR = 0xFFF, 0xFFFFF  # linux/kdev_t.h

# Records of one PAX header in the order in which they stand.
Records = list[tuple[bytes, bytes]]


class Entry:
    """One member. `path` and `link` are bytes as they stand; `size` is that of the stored data.

    `extents` is None for a file that is stored whole; `apparent_size` differs from `size` only for
    one that is not.
    """

    __slots__ = (
        "apparent_size",
        "extents",
        "gid",
        "kind",
        "link",
        "major",
        "minor",
        "mode",
        "mtime_ns",
        "path",
        "size",
        "uid",
        "xattrs",
    )

    path: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    apparent_size: int
    mtime_ns: int
    link: bytes
    major: int
    minor: int
    xattrs: list[tuple[bytes, bytes]]
    extents: Extents | None


class _Numbers(dict[bytes, int]):
    """Values of numeric fields: archives repeat owners, modes and times, and parsing is slow."""

    def __missing__(self, field: bytes) -> int:
        value = _number(field)
        if len(self) < _MAX_KNOWN_NUMBERS:
            self[field] = value
        return value


class TarReader:
    """Iterate over the entries of an archive.

    The data of an entry is read with `data` before the next entry is asked for; what is left of
    it is passed over.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._numbers = _Numbers()
        self._unread = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        count = 0
        while (header := self._next_header()) is not None:
            count += 1
            if count > self._limits.entries:
                raise LayerFault("limit", f"more than {self._limits.entries} entries")
            yield self._entry(header)

    def data(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes of the current entry's data."""
        if size > self._unread:
            raise LayerFault("tar", "an entry claims more data than it has")
        self._unread -= size
        return self._source.pieces(size)

    def small_data(self) -> bytes:
        """Return all data of the current entry at once; for what fits in memory."""
        size, self._unread = self._unread, 0
        return self._source.take(size)

    def _next_header(self) -> bytes | None:
        """Return the next header, or None behind the last one."""
        self._source.skip(self._unread + self._padding)
        self._unread = self._padding = 0
        header = self._source.take_block(_BLOCK)
        if header == _ZEROS:
            # Two blocks of zeros end an archive; a lone one means damage.
            if self._source.take_block(_BLOCK) not in (_ZEROS, b""):
                raise LayerFault("tar", "a block of zeros stands inside the archive")
            return None
        if not header:
            return None
        _check_sum(header)
        return header

    def _entry(self, header: bytes) -> Entry:
        """Read the headers that belong to one member, and make an entry of them."""
        records: Records = []
        for _ in range(_MAX_META_IN_A_ROW):
            kind = header[156:157]
            if kind in (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
                data = self._meta_data(header)
                if kind == _PAX:
                    records += _parse_records(data)
                elif kind == _LONG_NAME:
                    records.append((b"path", data.partition(b"\0")[0]))
                elif kind == _LONG_LINK:
                    records.append((b"linkpath", data.partition(b"\0")[0]))
                # A global header (git archive writes its commit into one) is not applied to the
                # files: Docker does not either, and an image must mean the same here.
                following = self._next_header()
                if following is None:
                    if kind == _PAX_GLOBAL and not records:
                        return _nothing()
                    raise LayerFault("tar", "the archive ends behind an extended header")
                header = following
            else:
                return self._make(header, records)
        raise LayerFault("tar", "too many extended headers in a row")

    def _meta_data(self, header: bytes) -> bytes:
        size = _number(header[124:136])
        if not 0 <= size <= self._limits.header_bytes:
            raise LayerFault(
                "limit", f"an extended header is larger than {self._limits.header_bytes} bytes"
            )
        data = self._source.take(size)
        self._source.skip(-size % _BLOCK)
        return data

    def _make(self, header: bytes, records: Records) -> Entry:
        fields = _HEADER.unpack(header)
        name, mode, uid, gid, size, mtime, _, kind, link, magic, _, _, major, minor, prefix = fields
        entry, numbers = Entry(), self._numbers
        entry.path = name.partition(b"\0")[0]
        if magic.startswith(_POSIX_MAGIC) and prefix[0]:
            entry.path = prefix.partition(b"\0")[0] + b"/" + entry.path
        entry.kind = kind
        entry.mode = numbers[mode] & 0o7777
        entry.uid = numbers[uid]
        entry.gid = numbers[gid]
        entry.size = numbers[size]
        entry.mtime_ns = numbers[mtime] * _SECOND_NS
        entry.link = link.partition(b"\0")[0]
        entry.major = entry.minor = 0
        if kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
            entry.major, entry.minor = numbers[major], numbers[minor]
        entry.xattrs = []
        entry.extents = None
        if records:
            _apply_records(entry, records)
        self._settle(entry, header, records)
        return entry

    def _settle(self, entry: Entry, header: bytes, records: Records) -> None:
        """Decide the kind, and how much data follows."""
        if entry.size < 0 or not (0 <= entry.uid <= _MAX_ID and 0 <= entry.gid <= _MAX_ID):
            raise LayerFault("tar", f'"{shown(entry.path)}" has an impossible size or owner')
        if not (0 <= entry.major <= _MAX_MAJOR and 0 <= entry.minor <= _MAX_MINOR):
            raise LayerFault("tar", f'"{shown(entry.path)}" has an impossible device number')
        if entry.kind in _WITHOUT_DATA:
            # pax(1) lets a hard link repeat the data, but nothing that makes layers does.
            entry.size = entry.apparent_size = 0
            return
        if entry.kind not in _WITH_DATA:
            raise LayerFault(
                "tar", f'"{shown(entry.path)}" is of the unknown type "{shown(entry.kind)}"'
            )
        self._unread, self._padding = entry.size, -entry.size % _BLOCK
        entry.apparent_size = entry.size
        if entry.kind == _SPARSE or (
            records and any(k.startswith(b"GNU.sparse.") for k, _ in records)
        ):
            self._read_extents(entry, header, records)
        is_folder = entry.kind == _OLD_REGULAR and entry.path.endswith(b"/")
        entry.kind = DIRECTORY if is_folder else REGULAR

    def _read_extents(self, entry: Entry, header: bytes, records: Records) -> None:
        def take(size: int) -> bytes:
            """Return `size` bytes of this entry's data."""
            if size > self._unread:
                raise LayerFault("tar", "the map of a sparse file is longer than its data")
            self._unread -= size
            return self._source.take(size)

        if entry.kind == _SPARSE:
            # Further blocks of the map are not counted in the size.
            extents, apparent = extents_from_header(header, self._source.take, _number)
        else:
            name, extents, apparent = extents_from_records(records, take)
            entry.path = name or entry.path
        entry.size = self._unread
        entry.extents, entry.apparent_size = extents, apparent
        check_extents(extents, apparent, entry.size, shown(entry.path))


def _nothing() -> Entry:
    """Return an entry that says nothing: the root folder without a word about it."""
    entry = Entry()
    entry.path, entry.kind, entry.link = b"", b"", b""
    entry.mode = entry.uid = entry.gid = entry.size = entry.apparent_size = 0
    entry.mtime_ns = entry.major = entry.minor = 0
    entry.xattrs, entry.extents = [], None
    return entry


def _check_sum(header: bytes) -> None:
    """Compare the header with its sum; some old writers summed signed bytes."""
    field = header[_CHECKSUM]
    expected = _number(field)
    # The lower half of Adler-32 is the sum and one, modulo a prime (RFC 1950, 8.2): twenty times
    # faster than `sum`, which is for headers that it does not find right.
    whole = expected - _BLANK_SUM + sum(field)
    if zlib.adler32(header) & 0xFFFF == (whole + 1) % _ADLER_PRIME:
        return
    total = sum(header) - sum(field) + _BLANK_SUM
    rest = header[:148] + header[156:]
    if expected not in (total, total - 256 * sum(byte >> 7 for byte in rest)):
        raise LayerFault("tar", "a header has a wrong checksum: not a tar archive, or damaged")


def _number(field: bytes) -> int:
    """Return the value of a field: octal text, or GNU's base-256 when its high bit is set."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            return int.from_bytes(field, "big", signed=True)
        return int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    text = field.partition(b"\0")[0].strip()
    if not text:
        return 0
    if not text.isdigit():
        raise LayerFault("tar", f'a header has the invalid number "{shown(text)}"')
    try:
        return int(text, 8)
    except ValueError as exc:
        raise LayerFault("tar", f'a header has the invalid number "{shown(text)}"') from exc


def _parse_records(data: bytes) -> Records:
    r"""Split a PAX header into its records, ``LENGTH KEY=VALUE\n``."""
    records: Records = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + _MAX_DIGITS)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            raise LayerFault("tar", "a PAX header has a record without a length")
        end = at + int(digits)
        if end <= space or end > len(data) or data[end - 1 : end] != b"\n":
            raise LayerFault("tar", "a PAX header has a record of a wrong length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise LayerFault("tar", "a PAX header has a record without a key")
        records.append((key, value))
        at = end
    return records


def _apply_records(entry: Entry, records: Records) -> None:
    """Put the records that we know into the entry; an empty value means the header's own."""
    xattrs: dict[bytes, bytes] = {}
    for key, value in records:
        if key.startswith(_XATTR):
            xattrs[_without_zero(key[len(_XATTR) :])] = value
        elif not value:
            continue
        elif key == b"path":
            entry.path = _without_zero(value)
        elif key == b"linkpath":
            entry.link = _without_zero(value)
        elif key == b"mtime":
            entry.mtime_ns = _time(value)
        elif key == b"size":
            entry.size = _decimal(value)
        elif key == b"uid":
            entry.uid = _decimal(value)
        elif key == b"gid":
            entry.gid = _decimal(value)
    entry.xattrs = list(xattrs.items())


def _without_zero(name: bytes) -> bytes:
    if b"\0" in name:
        raise LayerFault("tar", f'the name "{shown(name)}" contains a zero byte')
    return name


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise LayerFault("tar", f'a PAX header has the invalid number "{shown(text)}"')
    return int(text)


def _time(text: bytes) -> int:
    """Return nanoseconds of ``[-]SECONDS[.FRACTION]``."""
    is_negative = text.startswith(b"-")
    seconds, _, fraction = text.removeprefix(b"-").partition(b".")
    nanoseconds = fraction[:_NANOSECONDS].ljust(_NANOSECONDS, b"0")
    value = _decimal(seconds or b"0") * _SECOND_NS + _decimal(nanoseconds)
    return -value if is_negative else value
