"""What a container changed, as an archive: unpacked again it is the same folder."""

import os
import stat
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from dockerlab.image.layer.apply import Applier
from dockerlab.image.layer.diff import write_layer
from dockerlab.image.layer.fault import LayerFault

pytestmark = pytest.mark.needs_root

Apply = Callable[..., Applier]


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    made = tmp_path / "upper"
    made.mkdir()
    return made


def packed(folder: Path, **options: object) -> bytes:
    pieces: list[bytes] = []
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        write_layer(fd, pieces.append, **options)  # type: ignore[arg-type]
    finally:
        os.close(fd)
    return b"".join(pieces)


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        return {entry.name: entry for entry in archive}


def fill(upper: Path) -> None:
    (upper / "a").write_bytes(b"x" * 70_000)
    os.utime(upper / "a", ns=(1, 1_700_000_000_123_456_789))
    os.chown(upper / "a", 1234, 77)
    (upper / "a").chmod(0o4755)
    os.setxattr(upper / "a", "user.note", b"kept")
    os.link(upper / "a", upper / "z")
    (upper / "folder").mkdir(mode=0o1770)
    os.setxattr(upper / "folder", "trusted.overlay.opaque", b"y")
    (upper / "folder" / "link").symlink_to("/etc/passwd")
    os.mknod(upper / "folder" / "gone", stat.S_IFCHR, 0)
    os.mkfifo(upper / "fifo")
    os.utime(upper / "folder", ns=(1, 1_700_000_001_000_000_001))


def test_deletions_and_hidden_folders_get_the_marks_of_archives(upper: Path) -> None:
    fill(upper)
    found = members(packed(upper))
    assert list(found) == [
        "a",
        "fifo",
        "folder",
        "folder/.wh..wh..opq",
        "z",
        "folder/.wh.gone",
        "folder/link",
    ]
    assert found["z"].islnk()
    assert found["z"].linkname == "a"
    assert found["folder/link"].linkname == "/etc/passwd"
    assert "SCHILY.xattr.trusted.overlay.opaque" not in found["folder"].pax_headers


def test_the_same_folder_gives_the_same_bytes_also_by_way_of_an_archive(
    upper: Path, root: Path, apply: Apply
) -> None:
    fill(upper)
    data = packed(upper)
    assert packed(upper) == data
    apply(data)
    assert packed(root) == data
    assert (root / "a").stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o4755


def test_times_later_than_allowed_become_that_time(upper: Path) -> None:
    fill(upper)
    found = members(packed(upper, latest_ns=1_000_000_000 * 10**9))
    assert {int(entry.mtime) for entry in found.values()} <= {0, 1_000_000_000}


def test_noted_owners_are_believed_only_where_they_are_ours(upper: Path) -> None:
    (upper / "f").touch(mode=0o755)
    (upper / "f").chmod(0o755)
    os.setxattr(upper / "f", "user.dockerlab.owner", b"33:44:4755")
    own = members(packed(upper))["f"]
    assert (own.uid, own.mode) == (0, 0o755)
    noted = members(packed(upper, has_owner_notes=True))["f"]
    assert (noted.uid, noted.gid, noted.mode) == (33, 44, 0o4755)
    assert "SCHILY.xattr.user.dockerlab.owner" not in noted.pax_headers
    (upper / "f").chmod(0o700)
    assert members(packed(upper, has_owner_notes=True))["f"].mode == 0o700


def test_what_cannot_be_said_in_a_layer_is_refused(upper: Path) -> None:
    (upper / ".wh.file").touch()
    with pytest.raises(LayerFault, match="archives mark deletions"):
        packed(upper)
    (upper / ".wh.file").unlink()
    (upper / "moved").mkdir()
    os.setxattr(upper / "moved", "trusted.overlay.redirect", b"old")
    with pytest.raises(LayerFault, match="redirects folders"):
        packed(upper)


def test_a_link_to_the_host_is_not_followed(upper: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("secret")
    (upper / "way").symlink_to(tmp_path / "secret")
    assert list(members(packed(upper))) == ["way"]
