import os
import stat
from pathlib import Path

import pytest

from dockerlab.errors import InvalidArgument
from dockerlab.runtime import capabilities, defaults

KNOWN = capabilities.known()


@pytest.fixture(autouse=True)
def has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a daemon that has every capability, whoever runs the tests."""
    monkeypatch.setattr(capabilities, "available", lambda: KNOWN)


def test_fourteen_capabilities_are_the_default() -> None:
    assert len(defaults.DEFAULT_CAPABILITIES) == 14
    assert defaults.effective_capabilities() == list(defaults.DEFAULT_CAPABILITIES)


def test_dropping_takes_from_the_default_and_adding_appends() -> None:
    names = defaults.effective_capabilities(add=["net_admin", "CAP_CHOWN"], drop=["cap_kill"])
    assert "CAP_KILL" not in names
    assert names[-1] == "CAP_NET_ADMIN"
    assert names.count("CAP_CHOWN") == 1


def test_a_capability_that_is_dropped_and_added_is_there() -> None:
    assert "CAP_KILL" in defaults.effective_capabilities(add=["KILL"], drop=["KILL"])


def test_all_is_what_this_host_can_give() -> None:
    assert defaults.effective_capabilities(add=["all"]) == KNOWN


def test_all_but_some() -> None:
    names = defaults.effective_capabilities(add=["ALL"], drop=["MKNOD"])
    assert names == [name for name in KNOWN if name != "CAP_MKNOD"]


def test_none_but_some() -> None:
    assert defaults.effective_capabilities(add=["SETUID"], drop=["ALL"]) == ["CAP_SETUID"]
    assert defaults.effective_capabilities(drop=["ALL"]) == []


@pytest.mark.parametrize("add", [["nonsense"], ["CAP_"], [""]])
def test_an_unknown_capability_is_refused(add: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="unknown capability"):
        defaults.effective_capabilities(add=add)


def test_a_capability_that_the_daemon_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "available", lambda: ["CAP_CHOWN"])
    with pytest.raises(InvalidArgument, match="not available in the current environment"):
        defaults.effective_capabilities(add=["SYS_ADMIN"])


def test_mounts_come_in_the_order_in_which_they_cover_one_another() -> None:
    places = [mount["destination"] for mount in defaults.default_mounts(64)]
    assert places == [
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        "/sys/fs/cgroup",
        "/dev/mqueue",
        "/dev/shm",
    ]


def test_shared_memory_has_the_wanted_size() -> None:
    options = defaults.default_mounts(1 << 26)[-1].get("options", [])
    assert "size=67108864" in options


def test_the_host_cannot_be_changed_through_its_own_file_systems() -> None:
    read_only = {
        mount["destination"]
        for mount in defaults.default_mounts(64)
        if "ro" in mount.get("options", [])
    }
    assert read_only == {"/sys", "/sys/fs/cgroup"}


def test_values_are_new_each_time() -> None:
    defaults.default_mounts(64)[0].get("options", []).append("rw")
    assert "rw" not in defaults.default_mounts(64)[0].get("options", [])


def test_devices_have_the_numbers_of_the_hosts_own() -> None:
    for device in defaults.default_devices():
        status = Path(device.get("path", "")).stat()
        assert stat.S_ISCHR(status.st_mode)
        assert status.st_rdev == os.makedev(device.get("major", 0), device.get("minor", 0))


def test_device_rules_begin_with_nothing() -> None:
    first, *others = defaults.device_rules()
    assert first == {"allow": False, "access": "rwm"}
    assert all(rule["allow"] for rule in others)


def test_every_default_device_may_be_used() -> None:
    usable = [
        (rule.get("major"), rule.get("minor"))
        for rule in defaults.device_rules()
        if rule.get("access") == "rwm"
    ]
    for device in defaults.default_devices():
        assert (device.get("major"), device.get("minor")) in usable


def test_masked_paths_are_the_fixed_ones_and_this_hosts() -> None:
    paths = defaults.masked_paths()
    assert set(defaults.MASKED_PATHS) <= set(paths)
    assert all(path in defaults.MASKED_PATHS or Path(path).exists() for path in paths)
