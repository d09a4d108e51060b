"""Images of this host's programs: what is in them, and that it is always the same."""

import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from dockerlab.errors import EngineFailure, InvalidArgument, NotFound
from dockerlab.hub.fromhost import Recipe, applets, find_program, plan, script_interpreter
from dockerlab.hub.hostimages import make_image, tools_recipes
from dockerlab.hub.hosttree import Tree
from dockerlab.hub.pack import StoredImage
from dockerlab.oci.digest import digest_of
from tests.support.images import find_static_busybox

MEGABYTE = 1_000_000


def files(image: StoredImage) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(image.layer.read_bytes())) as tar:
        return {f"/{member.name}": member for member in tar.getmembers()}


def config(image: StoredImage) -> dict[str, object]:
    documents = [json.loads(blob) for blob in image.image.blobs.values()]
    [found] = [document["config"] for document in documents if "rootfs" in document]
    return dict(found)


def script(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def test_the_same_programs_give_the_same_digest_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dockerlab.hub.hostimages import *;"
        "from dockerlab.hub.fromhost import Recipe; print(make_image(Recipe(programs=('sh', 'ls')),"
        "Path(sys.argv[1]), title='x').image.index.digest)"
    )
    environ = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Seoul"}
    command = [sys.executable, "-c", code, str(tmp_path / "other")]
    other = subprocess.check_output(command, env=environ, text=True)

    image = make_image(Recipe(programs=("sh", "ls")), tmp_path / "here", title="x")

    assert image.image.index.digest == other.strip()


def test_every_entry_is_roots_of_one_time_and_without_set_user_id(tmp_path: Path) -> None:
    members = files(make_image(Recipe(programs=("sh", "mount")), tmp_path, title="x"))

    assert {(m.uid, m.gid, m.uname, m.gname) for m in members.values()} == {(0, 0, "", "")}
    assert len({m.mtime for m in members.values()}) == 1
    assert not any(m.mode & (stat.S_ISUID | stat.S_ISGID) for m in members.values())
    assert list(members) == sorted(members, key=lambda path: path.split("/"))


def test_folders_are_where_and_what_a_program_expects(tmp_path: Path) -> None:
    image = make_image(Recipe(programs=("sh",)), tmp_path, title="shell")
    members = files(image)

    assert members["/tmp"].mode == 0o1777
    assert members["/root"].mode == 0o700
    assert {"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/proc", "/dev"} <= set(members)
    assert members["/bin"].issym() == Path("/bin").is_symlink()
    settings = config(image)
    assert settings["Cmd"] == ["sh"]
    assert settings["Labels"]["dockerlab.source"] == "hub"  # type: ignore[index]
    assert settings["Env"][0].startswith("PATH=/usr/local/sbin:")  # type: ignore[index]


def test_links_are_kept_with_what_they_lead_to(tmp_path: Path) -> None:
    target = tmp_path / "real"
    target.write_text("x", encoding="utf-8")
    (tmp_path / "second").symlink_to("real")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    tree = Tree()

    end = tree.add_host(tmp_path / "first")

    entries = dict(tree.entries())
    assert end == target.resolve()
    assert entries[str(tmp_path / "first")].target == str(tmp_path / "second")
    assert entries[str(tmp_path / "second")].target == "real"


def test_links_that_go_round_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(NotFound, match="go round"):
        Tree().add_host(tmp_path / "a")


@pytest.mark.needs_busybox
def test_the_applets_are_those_that_busybox_lists() -> None:
    busybox = find_static_busybox()
    assert busybox is not None

    listed = subprocess.check_output([busybox, "--list"], text=True).split()

    assert applets(Path(busybox).read_bytes()) == listed


@pytest.mark.needs_busybox
def test_tools_are_busybox_and_small(tmp_path: Path) -> None:
    image = make_image(tools_recipes()["tools"]["latest"], tmp_path, title="tools")
    members = files(image)

    assert image.size_bytes < 3 * MEGABYTE
    names = {path.rpartition("/")[2] for path in members}
    assert {"sh", "ls", "cat", "ps", "ip", "sleep", "wget", "busybox"} <= names


def test_without_busybox_tools_are_the_hosts_own(tmp_path: Path) -> None:
    recipe = tools_recipes()["tools"]["latest"]
    own = Recipe(optional=recipe.optional[1:], required=recipe.required)

    image = make_image(own, tmp_path, title="tools")

    assert image.size_bytes < 20 * MEGABYTE
    names = {path.rpartition("/")[2] for path in files(image)}
    assert {"sh", "ls", "cat", "ps", "ip", "sleep", "wget"} <= names
    assert "curl" not in names


def test_python_comes_with_its_library_and_without_its_tests(tmp_path: Path) -> None:
    image = make_image(tools_recipes()["tools"]["python"], tmp_path, title="tools")
    members = files(image)

    assert image.size_bytes < 25 * MEGABYTE
    assert any(path.endswith("/json/decoder.py") for path in members)
    without = {"__pycache__", "site-packages", "dist-packages", "test", "tests"}
    library = [path.split("/") for path in members if "/lib/python3" in path]
    assert not any(without & set(parts) for parts in library)


def test_a_named_program_is_the_hosts_also_beside_busybox(tmp_path: Path) -> None:
    tree = plan(Recipe(programs=("busybox", "ls"))).tree
    ls = find_program("ls", ("/usr/bin", "/bin"))
    assert ls is not None

    assert dict(tree.entries())[str(ls.parent.resolve() / "ls")].target != "busybox"


def test_a_script_brings_its_interpreter_and_is_on_the_path(tmp_path: Path) -> None:
    path = script(tmp_path, "greet", "#!/usr/bin/env sh\necho hello\n")

    tree = plan(Recipe(programs=(str(path),))).tree

    entries = dict(tree.entries())
    assert entries["/usr/local/bin/greet"].target == str(path)
    assert "/usr/bin/env" in tree
    assert any(name.endswith("/sh") for name in entries)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("#!/bin/sh -e", ["/bin/sh"]),
        ("#! /usr/bin/env -S A=1 python3 -I", ["/usr/bin/env", "python3"]),
        ("text", []),
        ("#!", []),
    ],
)
def test_the_first_line_names_the_interpreter(tmp_path: Path, line: str, words: list[str]) -> None:
    assert script_interpreter(script(tmp_path, "script", line)) == words


def test_a_program_that_is_not_there_is_named_with_names_near_to_it() -> None:
    with pytest.raises(NotFound, match='no program "slep"') as caught:
        plan(Recipe(programs=("slep",)))
    assert "sleep" in caught.value.hint


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="neither a program for this system nor a script"):
        plan(Recipe(programs=(str(script(tmp_path, "data", "just text")),)))


@pytest.mark.parametrize("path", ["/", "/proc", "/sys/kernel", "/dev/null"])
def test_what_is_the_kernels_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgument, match="into an image"):
        plan(Recipe(added=(path,)))


def test_added_folders_come_whole_and_links_in_them_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "file").write_text("x", encoding="utf-8")
    (folder / "out").symlink_to("/etc/shadow")
    os.mkfifo(folder / "pipe")

    entries = dict(plan(Recipe(programs=("sh",), added=(str(folder),))).tree.entries())

    assert entries[f"{folder}/inside/file"].source == folder / "inside" / "file"
    assert entries[f"{folder}/out"].target == "/etc/shadow"
    assert "/etc/shadow" not in entries
    assert f"{folder}/pipe" not in entries


def test_a_users_own_settings_take_the_place_of_ours() -> None:
    entries = dict(plan(Recipe(added=("/etc/passwd",))).tree.entries())

    assert entries["/etc/passwd"].source == Path("/etc/passwd")


def test_a_layer_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = tmp_path / "added"
    added.write_text("x", encoding="utf-8")
    found = plan(Recipe(programs=("sh",), added=(str(added),)))
    monkeypatch.setattr("dockerlab.hub.hostimages.plan", lambda _: found)
    added.unlink()

    with pytest.raises(EngineFailure, match="cannot make an image"):
        make_image(Recipe(), tmp_path / "layers", title="x")
    assert list((tmp_path / "layers").iterdir()) == []


def test_the_layer_is_the_one_that_the_documents_name(tmp_path: Path) -> None:
    image = make_image(Recipe(programs=("sh",)), tmp_path, title="x")

    content = image.content(image.layer_digest)

    assert content is not None
    assert digest_of(content) == image.layer_digest
    assert (len(content), image.layer.stat().st_size) == (image.size_bytes, image.size_bytes)
