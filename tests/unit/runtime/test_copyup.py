"""What a new file system begins with."""

import os
from pathlib import Path

from dockerlab.kernel import syscalls
from dockerlab.runtime.copyup import copy_up


def test_files_folders_and_links_are_copied_as_they_are(tmp_path: Path) -> None:
    source, target, outside = tmp_path / "source", tmp_path / "target", tmp_path / "outside"
    for folder in (source, target, source / "below"):
        folder.mkdir()
    outside.write_text("outside\n")
    (source / "below" / "file").write_text("text\n")
    (source / "below" / "file").chmod(0o4751)
    (source / "link").symlink_to(outside)
    os.mkfifo(source / "fifo")
    source.chmod(0o1777)
    fds = [os.open(path, os.O_PATH) for path in (source, target)]

    copy_up(syscalls, *fds)

    for fd in fds:
        os.close(fd)
    assert sorted(path.name for path in target.iterdir()) == ["below", "link"]
    assert (target / "below" / "file").read_text() == "text\n"
    assert (target / "below" / "file").stat().st_mode & 0o7777 == 0o4751
    assert (target / "link").readlink() == outside
    assert target.stat().st_mode & 0o7777 == 0o1777
