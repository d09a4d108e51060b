"""The reader against archives of others (tarfile, GNU tar) and against headers made by hand."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from dockerlab.image.layer.fault import LayerFault, Limits
from dockerlab.image.layer.source import Source
from dockerlab.image.layer.tar import DIRECTORY, HARD_LINK, REGULAR, SYMLINK, Entry, TarReader
from tests.support.archives import END, archive, header, member, pax

_FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def _read(data: bytes, limits: Limits | None = None) -> list[tuple[Entry, bytes]]:
    limits = limits or Limits()
    stream = io.BytesIO(data)
    # Pieces of an odd length: nothing may depend on where they end.
    reader = TarReader(Source(lambda: stream.read(777), limits.total_bytes), limits)
    return [(entry, b"".join(reader.data(entry.size))) for entry in reader]


def _info(name: str, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize("kind", _FORMATS)
def test_every_format_gives_the_same_entry(kind: int) -> None:
    info = _info("usr/bin/tool", mode=0o4755, uid=12, gid=34, mtime=1_600_000_000)
    [(entry, data)] = _read(archive((info, b"x" * 1000), kind=kind))
    assert (entry.path, entry.kind, data) == (b"usr/bin/tool", REGULAR, b"x" * 1000)
    assert (entry.mode, entry.uid, entry.gid) == (0o4755, 12, 34)
    assert entry.mtime_ns == 1_600_000_000 * 10**9


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_and_links_may_be_long(kind: int) -> None:
    name, target = "d/" * 150 + "file", "t" * 300
    info = _info(name, type=tarfile.SYMTYPE, linkname=target)
    [(entry, _)] = _read(archive((info, b""), kind=kind))
    assert (entry.path, entry.link) == (name.encode(), target.encode())
    assert entry.kind == SYMLINK


def test_a_ustar_prefix_goes_before_the_name() -> None:
    name = "a" * 90 + "/" + "b" * 90
    [(entry, _)] = _read(archive((_info(name), b""), kind=tarfile.USTAR_FORMAT))
    assert entry.path == name.encode()


def test_names_are_bytes() -> None:
    [(entry, _)] = _read(member(b"caf\xe9 \xff\n") + END)
    assert entry.path == b"caf\xe9 \xff\n"


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_owners_beyond_octal_are_read(kind: int) -> None:
    [(entry, _)] = _read(archive((_info("f", uid=3_000_000_000, gid=2**31), b""), kind=kind))
    assert (entry.uid, entry.gid) == (3_000_000_000, 2**31)


def test_times_keep_their_nanoseconds() -> None:
    data = pax({b"mtime": b"1700000000.123456789"}) + member(b"a")
    data += pax({b"mtime": b"-1.5"}) + member(b"b") + END
    assert [e.mtime_ns for e, _ in _read(data)] == [1_700_000_000_123_456_789, -1_500_000_000]


def test_base_256_times_may_be_negative() -> None:
    field = (-5).to_bytes(12, "big", signed=True)
    [(entry, _)] = _read(header(b"f", fields={136: field}) + END)
    assert entry.mtime_ns == -5 * 10**9


def test_extended_attributes_are_bytes_of_any_kind() -> None:
    value = b"\x01\x00\x00\x02=\n\x00"
    data = pax({b"SCHILY.xattr.security.capability": value, b"comment": b"no"}) + member(b"f") + END
    [(entry, _)] = _read(data)
    assert entry.xattrs == [(b"security.capability", value)]


def test_the_last_of_repeated_records_counts_and_an_empty_one_is_the_header_s() -> None:
    data = pax({b"path": b"one"}) + pax({b"path": b"two"}) + member(b"head")
    data += pax({b"path": b""}) + member(b"head") + END
    assert [e.path for e, _ in _read(data)] == [b"two", b"head"]


def test_a_global_header_is_passed_over() -> None:
    data = (
        pax({b"path": b"everything", b"comment": b"abc"}, kind=b"g") + member(b"f", b"data") + END
    )
    assert [(e.path, d) for e, d in _read(data)] == [(b"f", b"data")]


def test_an_archive_of_a_global_header_alone_is_empty() -> None:
    assert all(
        not e.path and not e.kind for e, _ in _read(pax({b"comment": b"x"}, kind=b"g") + END)
    )


def test_an_old_archive_says_folder_by_a_slash() -> None:
    [(entry, _)] = _read(header(b"usr/", b"\0") + END)
    assert entry.kind == DIRECTORY


def test_a_hard_link_has_no_data_whatever_its_size() -> None:
    data = header(b"link", b"1", size=4, link=b"file") + member(b"next", b"1") + END
    assert [e.path for e, _ in _read(data)] == [b"link", b"next"]
    assert _read(data)[0][0].kind == HARD_LINK


def test_a_sum_of_signed_bytes_is_accepted() -> None:
    block = bytearray(header(b"caf\xe9"))
    block[148:156] = b" " * 8
    signed = sum(b - 256 if b > 127 else b for b in block)
    block[148:156] = b"%06o\0 " % signed
    assert len(_read(bytes(block) + END)) == 1


def test_an_archive_may_end_without_zeros() -> None:
    assert len(_read(member(b"f", b"data"))) == 1
    assert _read(b"") == []


def test_data_left_unread_is_passed_over() -> None:
    stream = io.BytesIO(member(b"a", b"x" * 3000) + member(b"b", b"y") + END)
    limits = Limits()
    reader = TarReader(Source(lambda: stream.read(1000), limits.total_bytes), limits)
    assert [entry.path for entry in reader] == [b"a", b"b"]


_SPARSE = [
    pytest.param(["--format=gnu"], id="gnu"),
    pytest.param(["--format=posix", "--sparse-version=0.0"], id="pax-0.0"),
    pytest.param(["--format=posix", "--sparse-version=0.1"], id="pax-0.1"),
    pytest.param(["--format=posix", "--sparse-version=1.0"], id="pax-1.0"),
]


@pytest.mark.parametrize("options", _SPARSE)
@pytest.mark.parametrize("pieces", [1, 3, 60])
def test_sparse_files_of_gnu_tar_are_maps_of_their_data(
    options: list[str], pieces: int, tmp_path: Path
) -> None:
    expected = bytearray(1 << 20)
    with (tmp_path / "holes").open("wb") as file:
        for index in range(pieces):
            at = index * 16384
            expected[at : at + 5] = b"%05d" % index
            file.seek(at)
            file.write(b"%05d" % index)
        file.truncate(len(expected))
    data = subprocess.run(
        ["tar", "-c", "-S", *options, "-C", tmp_path, "holes"], capture_output=True, check=True
    ).stdout
    [(entry, stored)] = _read(data)
    assert (entry.path, entry.apparent_size) == (b"holes", len(expected))
    assert entry.extents is not None
    found, at = bytearray(entry.apparent_size), 0
    for offset, length in entry.extents:
        found[offset : offset + length] = stored[at : at + length]
        at += length
    assert found == expected


_BAD = {
    "no archive": b"this is not a tar archive".ljust(512, b"!"),
    "a wrong checksum": b"X" + member(b"f")[1:] + END,
    "half a header": member(b"f", b"data")[:300],
    "data that ends early": member(b"f", b"x" * 2000)[:1000],
    "a lone block of zeros": bytes(512) + member(b"f") + END,
    "an unknown type": header(b"f", b"M") + END,
    "a negative size": header(b"f", size=(-1).to_bytes(12, "big", signed=True)) + END,
    "an owner beyond 32 bits": pax({b"uid": b"4294967295"}) + member(b"f") + END,
    "letters in a number": header(b"f", size=b"12abc\0\0\0\0\0\0\0") + END,
    "a digit that is not octal": header(b"f", size=b"00000000009\0") + END,
    "an underscore in a number": header(b"f", size=b"0000000_001\0") + END,
    "a device number beyond Linux's": header(b"f", b"3", fields={329: b"7777777\0"}) + END,
    "a record without a length": header(b"p", b"x", size=10) + b"path=a\n".ljust(512, b"\0") + END,
    "a record longer than its header": header(b"p", b"x", size=10)
    + b"99 path=a\n".ljust(512, b"\0")
    + END,
    "a record of length nought": header(b"p", b"x", size=9) + b"0 path=a\n".ljust(512, b"\0") + END,
    "a record without a value": header(b"p", b"x", size=7) + b"7 path\n".ljust(512, b"\0") + END,
    "a zero byte in a name": pax({b"path": b"a\0b"}) + member(b"f") + END,
    "a zero byte in an attribute's name": pax({b"SCHILY.xattr.user.a\0b": b"1"})
    + member(b"f")
    + END,
    "a PAX number that is none": pax({b"size": b"-1"}) + member(b"f") + END,
    "a PAX time that is none": pax({b"mtime": b"never"}) + member(b"f") + END,
    "extended headers for ever": pax({b"comment": b"x"}) * 40 + member(b"f") + END,
    "an extended header at the end": pax({b"path": b"x"}) + END,
    "a sparse map out of order": pax({b"GNU.sparse.map": b"5,2,0,2", b"GNU.sparse.size": b"9"})
    + member(b"f", b"1234")
    + END,
    "a sparse map beyond its file": pax({b"GNU.sparse.map": b"0,4", b"GNU.sparse.size": b"2"})
    + member(b"f", b"1234")
    + END,
    "a sparse map of odd length": pax({b"GNU.sparse.map": b"0,4,5", b"GNU.sparse.size": b"9"})
    + member(b"f", b"1234")
    + END,
    "a sparse map that is not its data's": pax(
        {b"GNU.sparse.map": b"0,1", b"GNU.sparse.size": b"9"}
    )
    + member(b"f", b"1234")
    + END,
    "a sparse map without end": pax(
        {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"9"}
    )
    + member(b"f", b"9\n1\n".ljust(512, b"0"))
    + END,
}


@pytest.mark.parametrize("data", _BAD.values(), ids=_BAD.keys())
def test_a_damaged_archive_is_one_clear_fault(data: bytes) -> None:
    with pytest.raises(LayerFault) as caught:
        _read(data)
    assert caught.value.kind == "tar"
    assert "\n" not in caught.value.message


def test_the_number_of_entries_is_bounded() -> None:
    with pytest.raises(LayerFault, match="more than 2 entries"):
        _read(member(b"f") * 3 + END, Limits(entries=2))


def test_an_extended_header_is_bounded_before_it_is_read() -> None:
    with pytest.raises(LayerFault) as caught:
        _read(header(b"p", b"x", size=2**33 - 1))
    assert caught.value.kind == "limit"


def test_the_archive_is_bounded() -> None:
    with pytest.raises(LayerFault, match="larger than 2000 bytes"):
        _read(member(b"f", os.urandom(4000)) + END, Limits(total_bytes=2000))


def test_a_sparse_map_is_bounded() -> None:
    records = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"9"}
    data = pax(records) + member(b"f", b"99999999\n".ljust(512, b"0")) + END
    with pytest.raises(LayerFault) as caught:
        _read(data)
    assert caught.value.kind == "limit"
