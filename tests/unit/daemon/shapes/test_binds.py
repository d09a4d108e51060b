"""Bind mounts, from a client's JSON and back."""

from typing import Any

import pytest

from dockerlab.daemon.shapes.binds import mount_points, read_binds, volume_strings
from dockerlab.engine.container import Bind
from dockerlab.errors import InvalidArgument, Unsupported

VOLUME = Bind(source="/a", target="/b", is_volume=True)
MOUNT = Bind(source="/c", target="/d/e", is_readonly=True)


def test_both_spellings_are_read() -> None:
    mount = {"Type": "bind", "Source": "/c", "Target": "/d//e/", "ReadOnly": True}

    assert read_binds({"Binds": ["/a:/b:z"], "Mounts": [mount]}) == (VOLUME, MOUNT)
    assert read_binds({"Binds": None}) == ()


def test_they_are_shown_as_docker_does() -> None:
    assert volume_strings((VOLUME, MOUNT)) == ["/a:/b"]
    assert volume_strings((MOUNT,)) is None
    shown = [(each["Destination"], each["RW"]) for each in mount_points((VOLUME, MOUNT))]
    assert shown == [("/b", True), ("/d/e", False)]


@pytest.mark.parametrize(
    "host",
    [
        {"Binds": "/a:/b"},
        {"Binds": ["/a"]},
        {"Binds": ["/a:b"]},
        {"Binds": ["/a:/"]},
        {"Binds": ["/a:/b/../../c"]},
        {"Binds": ["/a:/b:what"]},
        {"Binds": ["/a:/b", "/c:/b"]},
        {"Mounts": [{"Type": "bind", "Source": "a", "Target": "/b"}]},
    ],
)
def test_what_cannot_be_right_is_refused(host: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        read_binds(host)


@pytest.mark.parametrize(
    "host",
    [
        {"Binds": ["name:/b"]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/b"}]},
        {"Mounts": [{"Type": "bind", "BindOptions": {"Propagation": "shared"}}]},
    ],
)
def test_what_is_no_plain_bind_is_refused(host: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        read_binds(host)
