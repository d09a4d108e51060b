"""A client's options of isolation: what is taken, what is refused, what is shown again."""

from typing import Any

import pytest

from dockerlab.daemon.shapes.isolation import isolation, isolation_shape
from dockerlab.engine.isolation import DeviceMapping, Isolation, Ulimit
from dockerlab.errors import InvalidArgument
from dockerlab.runtime import defaults


def test_nothing_asked_is_the_default() -> None:
    assert isolation({"Memory": 5}) == Isolation()


def test_every_option_is_read_and_shown_again() -> None:
    raw: dict[str, Any] = {
        "Privileged": True,
        "PidMode": "host",
        "IpcMode": "shareable",
        "UTSMode": "host",
        "UsernsMode": "host",
        "CgroupnsMode": "host",
        "Devices": [
            {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"}
        ],
        "DeviceCgroupRules": ["c 10:* rwm"],
        "Tmpfs": {"/run": "size=64m,exec"},
        "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": -1}],
        "Sysctls": {"net.ipv4.ip_forward": "1"},
        "GroupAdd": ["video", "44"],
        "Init": False,
    }
    record = isolation(raw)

    assert record.devices == (
        DeviceMapping(on_host="/dev/a", in_container="/dev/b", permissions="r"),
    )
    assert record.ulimits == (Ulimit(name="nofile", soft=10, hard=-1),)
    shown = isolation_shape(record)
    assert {key: shown[key] for key in raw} == raw


def test_the_default_masks_are_shown_and_none_with_privileges() -> None:
    shown = isolation_shape(Isolation())
    assert shown["MaskedPaths"] == list(defaults.MASKED_PATHS)
    assert shown["ReadonlyPaths"] == list(defaults.READONLY_PATHS)
    assert isolation_shape(Isolation(privileged=True))["MaskedPaths"] is None
    assert isolation_shape(isolation({"MaskedPaths": []}))["MaskedPaths"] == []


@pytest.mark.parametrize("mode", ["", "private", None])
def test_a_namespace_of_its_own_has_several_names(mode: str | None) -> None:
    keys = ("PidMode", "IpcMode", "UTSMode", "UsernsMode", "CgroupnsMode")
    assert isolation(dict.fromkeys(keys, mode)) == Isolation()


def test_a_device_has_its_path_on_the_host_by_default() -> None:
    [device] = isolation({"Devices": [{"PathOnHost": "/dev/fuse"}]}).devices
    assert device == DeviceMapping(on_host="/dev/fuse", in_container="/dev/fuse")


@pytest.mark.parametrize(
    "raw",
    [
        {"PidMode": "shareable"},
        {"PidMode": "container:"},
        {"IpcMode": "nonsense"},
        {"UTSMode": "container:x"},
        {"UsernsMode": "keep-id"},
        {"Devices": [{"PathOnHost": "relative"}]},
        {"Devices": [{"PathOnHost": "/dev/../etc"}]},
        {"Devices": [{"PathOnHost": "/dev/a", "CgroupPermissions": "rx"}]},
        {"Devices": "all"},
        {"DeviceCgroupRules": ["c 10:200"]},
        {"DeviceCgroupRules": ["c 10:200 rwm\na *:* rwm"]},
        {"Tmpfs": {"relative": ""}},
        {"Tmpfs": {"/": ""}},
        {"Tmpfs": {"/proc/x": ""}},
        {"Tmpfs": {"//proc": ""}},
        {"Tmpfs": {"/sys": ""}},
        {"Tmpfs": {"/dev": ""}},
        {"Tmpfs": {"/a/../proc": ""}},
        {"Tmpfs": {"/a": "size=1x"}},
        {"Tmpfs": {"/a": "shared"}},
        {"Tmpfs": {"/a": "bind"}},
        {"Tmpfs": {"/a": "huge=always"}},
        {"Ulimits": [{"Name": "files", "Soft": 1, "Hard": 1}]},
        {"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]},
        {"Ulimits": [{"Name": "nofile", "Soft": -1, "Hard": 1}]},
        {"Ulimits": [{"Name": "nofile", "Soft": -2, "Hard": 1}]},
        {"Sysctls": {"kernel.panic": "1"}},
        {"Sysctls": {"vm.swappiness": "1"}},
        {"Sysctls": {"net.": "1"}},
        {"Sysctls": {"net...kernel.panic": "1"}},
        {"Sysctls": {"net.ipv4/../../kernel/panic": "1"}},
        {"Sysctls": {"net.ipv4.ip_forward": "1\0"}},
        {"Sysctls": {"net.ipv4.ip_forward": ""}},
        {"GroupAdd": [""]},
        {"GroupAdd": ["a:b"]},
        {"GroupAdd": ["a\nb"]},
        {"MaskedPaths": ["proc/kcore"]},
        {"MaskedPaths": ["/x"] * 2000},
        {"ReadonlyPaths": ["/x\0"]},
        {"Privileged": "yes"},
        {"DeviceCgroupRules": ["c 1:1 r"] * 2000},
    ],
)
def test_what_cannot_be_right_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        isolation(raw)
