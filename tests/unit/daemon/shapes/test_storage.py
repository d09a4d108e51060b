"""The grammars of -v and --mount."""

from typing import Any

import pytest

from dockerlab.daemon.shapes.storage import mount_points, parse_binds, parse_mounts, parse_paths
from dockerlab.engine.mount import Mount
from dockerlab.errors import InvalidArgument, Unsupported


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "/a//b:/x/",
            Mount(kind="bind", source="/a/b", destination="/x", makes_source=True),
        ),
        (
            "/a:/x:ro,Z,rslave",
            Mount(
                kind="bind",
                source="/a",
                destination="/x",
                mode="ro,Z,rslave",
                is_read_only=True,
                propagation="rslave",
                makes_source=True,
            ),
        ),
        ("vol:/x", Mount(kind="volume", source="vol", destination="/x", mode="z")),
        (
            "vol:/x:nocopy",
            Mount(kind="volume", source="vol", destination="/x", mode="nocopy", is_copied_up=False),
        ),
        ("/x/../y", Mount(kind="volume", destination="/y", is_anonymous=True)),
    ],
)
def test_a_bind_is_read(text: str, expected: Mount) -> None:
    assert parse_binds([text]) == [expected]


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:", ":/x", "/a:/b:ro:rw", "/a:b", "/a:/", "/a:/x:", "/a:/x:ro,ro2", "/a\0b:/x"],
)
def test_what_is_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_binds([text])


def test_shared_propagation_is_refused_with_what_to_use() -> None:
    with pytest.raises(Unsupported) as refused:
        parse_mounts(
            [
                {
                    "Type": "bind",
                    "Source": "/a",
                    "Target": "/x",
                    "BindOptions": {"Propagation": "rshared"},
                }
            ]
        )
    assert "rslave" in refused.value.hint


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"Type": "npipe", "Target": "/x"}, "mount type unknown"),
        ({"Type": "bind", "Source": "/a"}, "field Target must not be empty"),
        ({"Type": "bind", "Target": "/x"}, "field Source must not be empty"),
        ({"Type": "bind", "Source": "a", "Target": "/x"}, "must be absolute"),
        ({"Type": "bind", "Source": "/a", "Target": "x"}, "must be absolute"),
        (
            {"Type": "tmpfs", "Target": "/x", "VolumeOptions": {}},
            "field VolumeOptions must not be specified",
        ),
        ({"Type": "tmpfs", "Target": "/x", "Source": "a"}, "field Source must not be specified"),
        ({"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": -1}}, "out of range"),
        ({"Type": "volume", "Target": "/x", "ReadOnly": True}, "anonymous volumes"),
        ({"Type": 1}, "invalid Mounts"),
    ],
)
def test_a_mount_that_cannot_be_right_is_refused(body: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        parse_mounts([body])


def test_a_mount_of_a_volume_brings_how_to_make_it() -> None:
    body = {
        "Type": "volume",
        "Source": "vol",
        "Target": "/x",
        "VolumeOptions": {
            "NoCopy": True,
            "Labels": {"a": "b"},
            "DriverConfig": {"Name": "local", "Options": {"type": "none"}},
        },
    }
    [mount] = parse_mounts([body])
    assert (mount.is_copied_up, mount.labels, mount.driver) == (False, {"a": "b"}, "local")
    assert mount.options == {"type": "none"}


def test_paths_of_anonymous_volumes_are_absolute() -> None:
    assert parse_paths(["/a/", "/b//c"]) == ("/a", "/b/c")
    with pytest.raises(InvalidArgument):
        parse_paths(["relative"])


def test_a_tmpfs_is_shown_without_a_driver() -> None:
    [shape] = mount_points([Mount(kind="tmpfs", destination="/t")], {})
    assert shape == {
        "Type": "tmpfs", "Source": "", "Destination": "/t", "Mode": "", "RW": True,
        "Propagation": "",
    }  # fmt: skip
