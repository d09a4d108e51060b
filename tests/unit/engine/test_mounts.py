"""Which mounts a container has, and in which order."""

import pytest

from dockerlab.engine.mount import Mount
from dockerlab.engine.mounts import choose_mounts, inherit, spec_mounts, with_user_mounts
from dockerlab.errors import InvalidArgument


def bind(destination: str, source: str = "/a", *, is_read_only: bool = False) -> Mount:
    return Mount(kind="bind", source=source, destination=destination, is_read_only=is_read_only)


def test_parents_stand_before_what_is_mounted_below_them() -> None:
    chosen = choose_mounts([bind("/a/b/c"), bind("/z"), bind("/a")], [], ["/a/b"])
    assert [mount.destination for mount in chosen] == ["/z", "/a", "/a/b", "/a/b/c"]


def test_what_is_asked_for_takes_the_place_of_the_inherited_and_of_the_declared() -> None:
    chosen = choose_mounts([bind("/x", "/mine")], [bind("/x"), bind("/y")], ["/x", "/v"])
    assert {m.destination: (m.kind, m.source) for m in chosen if m.destination != "/v"} == {
        "/x": ("bind", "/mine"),
        "/y": ("bind", "/a"),
    }
    [declared] = [mount for mount in chosen if mount.destination == "/v"]
    assert declared.is_anonymous
    assert len(declared.source) == 64


def test_two_at_one_place_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="Duplicate mount point: /x"):
        choose_mounts([bind("/x"), bind("/x")], [], [])


@pytest.mark.parametrize(("spec", "is_read_only"), [("c", False), ("c:rw", False), ("c:ro", True)])
def test_inherited_mounts_may_become_read_only(spec: str, is_read_only: bool) -> None:  # noqa: FBT001
    [mount] = inherit([spec], lambda _: [bind("/x")])
    assert mount.is_read_only is is_read_only
    [kept] = inherit([spec], lambda _: [bind("/x", is_read_only=True)])
    assert kept.is_read_only


def test_a_wrong_mode_of_inheritance_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="c:zz"):
        inherit(["c:zz"], lambda _: [])


def test_a_spec_has_options_of_mount() -> None:
    mounts = [
        bind("/b", is_read_only=True),
        Mount(kind="volume", source="v", destination="/v"),
        Mount(kind="tmpfs", destination="/t", size_bytes=5, file_mode=0o700),
    ]
    made = spec_mounts(mounts, lambda mount: f"/host/{mount.source.strip('/')}")
    assert [(m["source"], m["options"]) for m in made] == [
        ("/host/a", ["rbind", "ro", "rprivate"]),
        ("/host/v", ["rbind", "rprivate"]),
        ("tmpfs", ["nosuid", "nodev", "noexec", "mode=700", "size=5"]),
    ]


def test_a_folder_over_dev_takes_all_of_ours_below_it() -> None:
    own = spec_mounts([bind("/dev"), bind("/dev/shm"), bind("/sys")], lambda _: "/own")
    users = spec_mounts([bind("/dev")], lambda _: "/theirs")
    joined = with_user_mounts(own, spec_mounts([bind("/etc/hosts")], lambda _: "/m"), users)
    assert [(m["destination"], m["source"]) for m in joined] == [
        ("/sys", "/own"),
        ("/dev", "/theirs"),
        ("/etc/hosts", "/m"),
    ]


@pytest.mark.parametrize("path", ["/", "..", "/proc", "proc/sys", "/a/../proc/x"])
def test_an_image_cannot_declare_volumes_where_none_can_be(path: str) -> None:
    with pytest.raises(InvalidArgument, match="the image declares a volume"):
        choose_mounts([], [], [path])


def test_what_an_image_declares_is_a_path_from_the_root() -> None:
    assert [m.destination for m in choose_mounts([], [], ["data/../../x"])] == ["/x"]
