"""The suite of `LayerStore`, run on folders; a second keeper joins by the fixture's parameters."""

import os
from pathlib import Path

import pytest

from dockerlab.errors import BadDigest, NotFound
from dockerlab.image.layers import FolderLayers, LayerStore
from dockerlab.oci.digest import digest_of, hex_of

_ONE, _TWO = digest_of(b"one"), digest_of(b"two")


@pytest.fixture
def layers(tmp_path: Path) -> LayerStore:
    return FolderLayers(tmp_path / "layers")


def test_a_layer_is_there_only_after_its_commit(layers: LayerStore) -> None:
    staging = layers.stage(_ONE)
    (staging / "file").write_bytes(b"12345")
    assert not layers.has(_ONE)
    assert list(layers.diff_ids()) == []
    layers.commit(_ONE, staging)
    assert layers.has(_ONE)
    assert (layers.path(_ONE) / "file").read_bytes() == b"12345"
    assert list(layers.diff_ids()) == [_ONE]
    assert not staging.exists()


def test_two_may_stage_the_same_layer_and_both_commit(layers: LayerStore) -> None:
    first, second = layers.stage(_ONE), layers.stage(_ONE)
    assert first != second
    (first / "file").write_bytes(b"x")
    (second / "file").write_bytes(b"x")
    layers.commit(_ONE, first)
    layers.commit(_ONE, second)
    assert (layers.path(_ONE) / "file").read_bytes() == b"x"
    assert not second.exists()


def test_an_empty_layer_is_a_layer(layers: LayerStore) -> None:
    layers.commit(_ONE, layers.stage(_ONE))
    layers.commit(_ONE, layers.stage(_ONE))
    assert layers.has(_ONE)
    assert layers.size(_ONE) == 0


def test_abandoning_leaves_nothing(layers: LayerStore) -> None:
    staging = layers.stage(_ONE)
    (staging / "d").mkdir()
    (staging / "d/f").write_bytes(b"x")
    layers.abandon(staging)
    layers.abandon(staging)
    assert not staging.exists()


def test_the_size_counts_a_file_of_two_names_once(layers: LayerStore) -> None:
    staging = layers.stage(_ONE)
    (staging / "d").mkdir()
    (staging / "d/f").write_bytes(bytes(1000))
    os.link(staging / "d/f", staging / "g")
    (staging / "link").symlink_to("d/f")
    layers.commit(_ONE, staging)
    assert layers.size(_ONE) == layers.size(_ONE) == 1000


def test_the_size_is_what_the_unpacker_counted(layers: LayerStore) -> None:
    layers.commit(_ONE, layers.stage(_ONE), 12345)
    assert layers.size(_ONE) == 12345


def test_what_is_deleted_is_gone(layers: LayerStore) -> None:
    layers.commit(_ONE, layers.stage(_ONE), 5)
    layers.delete(_ONE)
    layers.delete(_ONE)
    assert not layers.has(_ONE)
    with pytest.raises(NotFound, match="no such layer"):
        layers.size(_ONE)


def test_cleaning_removes_what_a_crash_left_and_nothing_else(layers: LayerStore) -> None:
    layers.commit(_ONE, layers.stage(_ONE), 5)
    layers.commit(_TWO, layers.stage(_TWO), 6)
    staging = layers.stage(_ONE)
    (staging / "half").write_bytes(b"x")
    layers.clean()
    assert not staging.exists()
    assert sorted(layers.diff_ids()) == sorted([_ONE, _TWO])
    assert layers.size(_TWO) == 6


def test_only_a_digest_becomes_a_path(layers: LayerStore) -> None:
    with pytest.raises(BadDigest):
        layers.path("sha256:..")  # type: ignore[arg-type]


def test_folders_are_named_by_their_diff_ids(tmp_path: Path) -> None:
    layers = FolderLayers(tmp_path)
    layers.commit(_ONE, layers.stage(_ONE))
    assert layers.path(_ONE) == tmp_path / hex_of(_ONE)
    assert layers.path(_ONE).stat().st_mode & 0o777 == 0o755


def test_who_removes_is_the_caller_s_choice(tmp_path: Path) -> None:
    removed: list[str] = []
    layers = FolderLayers(tmp_path, removed.append)
    staging = layers.stage(_ONE)
    layers.abandon(staging)
    layers.clean()
    assert removed == [str(staging), str(staging)]
