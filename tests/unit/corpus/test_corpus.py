"""The corpus is data for other tests: what it promises is checked here, on the small images."""

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus import recipes
from tests.corpus.layers import LayerWriter
from tests.corpus.pusher import push
from tests.corpus.recipes import expected_layers20
from tests.corpus.shelf import Shelf
from tests.support.registry import RunningRegistry, running_registry


@pytest.fixture
def empty_registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path / "registry") as running:
        yield running


def _write(path: Path) -> None:
    with LayerWriter(path) as layer:
        layer.data("a/b/file", b"content", 0o600)
        layer.link("a/link", "b/file")
        layer.whiteout("a/gone")
        layer.opaque("a/b")
        layer.stream("big", iter([b"xx", b"yyy"]), 5)


def test_layer_has_parents_before_their_entries_and_fixed_times(tmp_path: Path) -> None:
    _write(tmp_path / "layer")
    with tarfile.open(tmp_path / "layer") as tar:
        names = tar.getnames()
        assert names == [
            "a", "a/b", "a/b/file", "a/link", "a/.wh.gone", "a/b/.wh..wh..opq", "big",
        ]  # fmt: skip
        assert {member.mtime for member in tar} == {1_700_000_000}


def test_digests_are_those_of_the_bytes_and_repeat(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        with LayerWriter(tmp_path / name) as layer:
            layer.data("file", b"content")
        data = (tmp_path / name).read_bytes()
        assert layer.built.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
        plain = hashlib.sha256(gzip.decompress(data)).hexdigest()
        assert layer.built.diff_id == f"sha256:{plain}"
        assert layer.built.size == len(data)
        digests.add(layer.built.digest)
    assert len(digests) == 1


def test_interrupted_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> list[object]:
        (folder / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setitem(recipes.RECIPES, "broken", recipes.Recipe(write=fail))  # type: ignore[arg-type]  # it never returns
    with pytest.raises(KeyboardInterrupt):
        Shelf(tmp_path).build("broken")
    assert list(tmp_path.iterdir()) == []


def test_layers20_ends_with_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "_CHUNK_BYTES", 64)  # the same tree in less time
    files: set[str] = set()
    for built in recipes._layers20(tmp_path):
        with tarfile.open(tmp_path / built.file) as tar:
            added = set()
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                if name == ".wh..wh..opq":
                    files = {path for path in files if not path.startswith(f"{folder}/")}
                elif name.startswith(".wh."):
                    files.remove(f"{folder}/{name.removeprefix('.wh.')}")
                elif member.isfile():
                    added.add(member.name)
            files |= added
    data = {path.removeprefix("data/") for path in files if path.startswith("data/")}
    assert data == expected_layers20()


@pytest.mark.needs_registry
@pytest.mark.needs_busybox
def test_command_pushes_the_small_images(empty_registry: RunningRegistry, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.corpus", "--cache", str(tmp_path / "cache")]
    command += ["--registry", empty_registry.address]
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    second = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert first == second
    references = [
        line.split()[0].removeprefix(empty_registry.address) for line in first.splitlines()
    ]
    assert references == ["/library/hello-world:latest", "/library/busybox:latest"]


@pytest.mark.needs_registry
@pytest.mark.needs_busybox
@pytest.mark.needs_skopeo
def test_skopeo_reads_what_was_pushed(empty_registry: RunningRegistry, tmp_path: Path) -> None:
    pushed = push(empty_registry.address, "busybox", Shelf(tmp_path / "cache"))
    copy = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false"]
    target = f"oci-archive:{tmp_path}/copied"
    source = f"docker://{pushed.reference}"
    subprocess.run([*copy, source, target], capture_output=True, check=True)
    with tarfile.open(tmp_path / "copied") as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        assert json.load(io.TextIOWrapper(index))["manifests"]


def test_unknown_name_is_refused() -> None:
    command = [sys.executable, "-m", "tests.corpus", "--registry", "127.0.0.1:1", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such image: nothing" in done.stderr
