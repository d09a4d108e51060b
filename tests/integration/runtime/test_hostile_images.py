"""An image whose paths are links: nothing of the host is mounted over, written or made."""

import errno
from pathlib import Path

import pytest

from tests.support.boxes import Boxes


def layer_with(tmp_path: Path, path: str, target: str) -> Path:
    """Return a layer that has a link at `path`."""
    layer = tmp_path / "hostile"
    link = layer / path.lstrip("/")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    return layer


@pytest.mark.parametrize("path", ["/proc", "/sys", "/dev"])
@pytest.mark.parametrize("target", ["/etc", "/", "../../../../tmp", "nowhere"])
def test_a_link_in_place_of_a_protected_folder_is_refused(
    boxes: Boxes, tmp_path: Path, path: str, target: str
) -> None:
    box = boxes.box("true", layers=[layer_with(tmp_path, path, target)])
    box.start(boxes.zygote)
    failure = box.expect("failed", among="failed")

    assert (failure["step"], failure["errno"], failure["path"]) == ("mount", errno.ELOOP, path)
    assert "symbolic link" in failure["message"]


@pytest.mark.parametrize("target", ["/elsewhere", "../../../../elsewhere"])
def test_a_link_on_the_way_of_a_bind_stays_inside(
    boxes: Boxes, tmp_path: Path, target: str
) -> None:
    layer = layer_with(tmp_path, "/linked", target)
    (layer / "elsewhere").mkdir()
    box = boxes.box("cat", "/elsewhere/file", layers=[layer])
    source = tmp_path / "source"
    source.write_text("bound\n")
    box.spec["mounts"].append(
        {"destination": "/linked/file", "type": "bind", "source": str(source), "options": ["bind"]}
    )
    client = box.start(boxes.zygote)

    assert client.makefile().read() == "bound\n"
    assert not Path("/elsewhere").exists()


def test_a_dangling_link_as_mount_point_is_refused_and_makes_nothing(
    boxes: Boxes, tmp_path: Path
) -> None:
    outside = tmp_path / "made-on-the-host"
    box = boxes.box("true", layers=[layer_with(tmp_path, "/etc/hosts", str(outside))])
    source = tmp_path / "source"
    source.write_text("x")
    box.spec["mounts"].append(
        {"destination": "/etc/hosts", "type": "bind", "source": str(source), "options": ["bind"]}
    )
    box.start(boxes.zygote)

    assert box.expect("failed", among="failed")["errno"] == errno.ELOOP
    assert not outside.exists()


def test_a_linked_etc_does_not_reach_the_hosts(boxes: Boxes, tmp_path: Path) -> None:
    before = Path("/etc/hosts").read_bytes()
    box = boxes.box("sh", "-c", "echo mine >> /etc/hosts; cat /inner/hosts")
    lower = Path(box.args["rootfs"]["lower"][-1])
    for child in (lower / "etc").iterdir():
        child.unlink()
    (lower / "etc").rmdir()
    (lower / "inner").mkdir()
    (lower / "etc").symlink_to("../../../../inner")
    source = tmp_path / "hosts"
    source.write_text("engine's\n")
    box.spec["mounts"].append(
        {"destination": "/etc/hosts", "type": "bind", "source": str(source), "options": ["bind"]}
    )
    client = box.start(boxes.zygote)

    assert client.makefile().read() == "engine's\nmine\n"
    assert Path("/etc/hosts").read_bytes() == before
    assert source.read_text() == "engine's\nmine\n"


def test_a_masked_path_that_is_a_link_masks_inside(boxes: Boxes, tmp_path: Path) -> None:
    box = boxes.box("ls", "/secret", layers=[layer_with(tmp_path, "/masked", "/secret")])
    lower = Path(box.args["rootfs"]["lower"][-1])
    (lower / "secret").mkdir()
    (lower / "secret" / "file").touch()
    box.spec["linux"]["maskedPaths"].append("/masked")
    client = box.start(boxes.zygote)

    assert client.makefile().read() == ""


def test_a_fifo_as_passwd_does_not_hang_the_start(boxes: Boxes) -> None:
    import os

    box = boxes.box("grep", "Uid", "/proc/self/status")
    passwd = Path(box.args["rootfs"]["lower"][-1]) / "etc/passwd"
    passwd.unlink()
    os.mkfifo(passwd)
    box.change(user="1234")
    client = box.start(boxes.zygote)

    assert client.makefile().read().split()[1] == "1234"


def test_no_python_of_the_image_is_loaded(boxes: Boxes, tmp_path: Path) -> None:
    layer = tmp_path / "python"
    for prefix in (
        "",
        "usr/lib/python3.11",
        "root/.pyenv/versions/3.11.7/lib/python3.11/encodings",
    ):
        (layer / prefix).mkdir(parents=True, exist_ok=True)
        for name in ("encodings", "ascii", "json", "traceback"):
            path = layer / prefix / f"{name}.py"
            if not path.exists():
                path.write_text("raise SystemExit('loaded from the image')\n")
    box = boxes.box("no-such-program", layers=[layer])
    box.start(boxes.zygote)

    assert box.expect("failed", among="failed")["errno"] == errno.ENOENT
