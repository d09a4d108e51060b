import os
import subprocess
from pathlib import Path

import pytest

from dockerlab.image.layer.fault import LayerFault
from dockerlab.image.layer.whiteout import OPAQUE, Overlay, hidden_name, is_whiteout


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        (b"file", None),
        (b".wh", None),
        (b".what", None),
        (b".wh.file", b"file"),
        (b".wh..hidden", b".hidden"),
        (b".wh..wh..opq", OPAQUE),
        (b".wh..wh.plnk", b""),
        (b".wh..wh..wh.aufs", b""),
    ],
)
def test_names_say_what_they_hide(name: bytes, hidden: bytes | None) -> None:
    assert hidden_name(name) == hidden


@pytest.mark.parametrize("name", [b".wh.", b".wh..", b".wh..."])
def test_a_folder_cannot_hide_itself_or_its_parent(name: bytes) -> None:
    with pytest.raises(LayerFault):
        hidden_name(name)


def test_attributes_that_steer_overlayfs_are_known() -> None:
    assert Overlay.steers(b"trusted.overlay.opaque")
    assert Overlay.steers(b"user.overlay.anything")
    assert not Overlay.steers(b"trusted.overlayish")
    assert not Overlay.steers(b"user.note")


@pytest.mark.needs_root
@pytest.mark.needs_overlay
def test_the_kernel_hides_what_the_marks_say(tmp_path: Path) -> None:
    for name in ("below/d", "above/d", "merged"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("below/d/old", "below/gone", "below/stays", "above/d/new"):
        (tmp_path / name).write_bytes(b"x")
    overlay = Overlay()
    fd = os.open(tmp_path / "above", os.O_RDONLY)
    overlay.make_whiteout(fd, b"gone")
    os.close(fd)
    fd = os.open(tmp_path / "above/d", os.O_RDONLY)
    overlay.make_opaque(fd)
    os.close(fd)
    assert is_whiteout((tmp_path / "above/gone").lstat())
    script = (
        "mount -t overlay overlay -o lowerdir=above:below merged && cd merged && find . -type f"
    )
    shown = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(shown.stdout.split()) == ["./d/new", "./stays"]
