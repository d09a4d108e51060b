"""Flags of the docker command line as JSON: the grammars, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from dockerlab.client.grammar import (
    pairs,
    port_bindings,
    read_device,
    security_options,
    texts,
    to_nanoseconds,
)
from dockerlab.client.mountgrammar import binds, read_mount, tmpfs, volume_places
from dockerlab.client.options import RunOptions, make_request, update_body
from dockerlab.errors import InvalidArgument


def host_config(**options: Any) -> dict[str, Any]:
    given: RunOptions = options  # type: ignore[assignment]
    return dict(make_request("image", (), given).host_config)


def config(**options: Any) -> dict[str, Any]:
    given: RunOptions = options  # type: ignore[assignment]
    return dict(make_request("image", (), given).config)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"memory": "64m", "memory_swap": -1}, {"Memory": 64 << 20, "MemorySwap": -1}),
        ({"memory_swappiness": "0"}, {"MemorySwappiness": 0}),
        (
            {"restart": "on-failure:3"},
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        ),
        ({"volume": ["data:/data", "/anonymous"]}, {"Binds": ["data:/data"]}),
        ({"tmpfs": "/memory:size=1m"}, {"Tmpfs": {"/memory": "size=1m"}}),
        ({"ulimit": "nofile=5"}, {"Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 5}]}),
        ({"sysctl": {"net.ipv4.ip_forward": 1}}, {"Sysctls": {"net.ipv4.ip_forward": "1"}}),
        ({"log_driver": "local"}, {"LogConfig": {"Type": "local", "Config": {}}}),
        ({"log_opt": ["max-size=1m"]}, {"LogConfig": {"Type": "", "Config": {"max-size": "1m"}}}),
        ({"init": True, "privileged": False}, {"Init": True}),
        ({"security_opt": "systempaths=unconfined"}, {"MaskedPaths": [], "ReadonlyPaths": []}),
        ({"shm_size": 4096}, {"ShmSize": 4096}),
        ({"uts": "host", "pid": "container:web"}, {"UTSMode": "host", "PidMode": "container:web"}),
    ],
)
def test_what_the_host_gives(options: dict[str, Any], fields: dict[str, Any]) -> None:
    assert host_config(**options) == fields


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"volume": ["data:/data", "/anonymous"]}, {"Volumes": {"/anonymous": {}}}),
        ({"stop_timeout": 0}, {"StopTimeout": 0}),
        ({"no_healthcheck": True}, {"Healthcheck": {"Test": ["NONE"]}}),
        (
            {"health_cmd": "true", "health_interval": "1m30s", "health_retries": "2"},
            {
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "true"],
                    "Interval": 90_000_000_000,
                    "Retries": 2,
                }
            },
        ),
        ({"publish": "8080:80"}, {"ExposedPorts": {"80/tcp": {}}}),
    ],
)
def test_what_the_container_is(options: dict[str, Any], fields: dict[str, Any]) -> None:
    assert config(**options) == fields


@pytest.mark.parametrize(
    ("ports", "bindings"),
    [
        (["80"], {"80/tcp": [{"HostIp": "", "HostPort": ""}]}),
        (["8080:80/udp"], {"80/udp": [{"HostIp": "", "HostPort": "8080"}]}),
        (["127.0.0.1::80"], {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}),
        (["[::1]:81:80"], {"80/tcp": [{"HostIp": "::1", "HostPort": "81"}]}),
        (
            ["81-82:91-92"],
            {
                "91/tcp": [{"HostIp": "", "HostPort": "81"}],
                "92/tcp": [{"HostIp": "", "HostPort": "82"}],
            },
        ),
        (["8000-9000:80"], {"80/tcp": [{"HostIp": "", "HostPort": "8000-9000"}]}),
        (
            ["81:80", "82:80"],
            {"80/tcp": [{"HostIp": "", "HostPort": "81"}, {"HostIp": "", "HostPort": "82"}]},
        ),
    ],
)
def test_ports(ports: list[str], bindings: dict[str, Any]) -> None:
    assert port_bindings(ports) == bindings


@pytest.mark.parametrize("text", ["", "x", "80:", "1-2:1-3", "80/ip", "70000", "5-1", "0"])
def test_ports_that_cannot_be_right(text: str) -> None:
    with pytest.raises(InvalidArgument):
        port_bindings([text])


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/a", {"Type": "volume", "Target": "/a"}),
        ("type=volume,src=v,dst=/a,volume-nocopy", {"VolumeOptions": {"NoCopy": True}}),
        (
            "type=tmpfs,target=/a,tmpfs-size=1m,tmpfs-mode=1777",
            {"TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777}},
        ),
        ("type=bind,src=/s,target=/a,ro=false,bind-propagation=rslave", {"ReadOnly": False}),
        ('"type=bind","src=/with,comma",target=/a', {"Source": "/with,comma"}),
        (
            "target=/a,volume-opt=type=none,volume-label=x=y",
            {
                "VolumeOptions": {
                    "DriverConfig": {"Options": {"type": "none"}},
                    "Labels": {"x": "y"},
                }
            },
        ),
    ],
)
def test_mounts(text: str, mount: dict[str, Any]) -> None:
    found = read_mount(text)

    assert {key: found[key] for key in mount} == mount


@pytest.mark.parametrize(
    "text",
    ["", "type=bind,src=/a", "type=nfs,target=/a", "target=/a,ro=maybe", "target=/a,tmpfs-mode=9"],
)
def test_mounts_that_cannot_be_right(text: str) -> None:
    with pytest.raises(InvalidArgument):
        read_mount(text)


def test_relative_places_are_those_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert binds(["./a:/a:ro", ".:/b"]) == [f"{tmp_path}/a:/a:ro", f"{tmp_path}:/b"]
    assert read_mount("type=bind,src=./a,target=/a")["Source"] == f"{tmp_path}/a"
    assert volume_places(["/a", "b:/b"]) == {"/a": {}}
    assert tmpfs(["/a"]) == {"/a": ""}


def test_devices() -> None:
    assert read_device("/dev/a")["PathInContainer"] == "/dev/a"
    assert read_device("/dev/a:rw")["CgroupPermissions"] == "rw"
    with pytest.raises(InvalidArgument):
        read_device("/dev/a:/dev/b:/dev/c")


def test_a_seccomp_profile_is_read_here(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{ "defaultAction": "SCMP_ACT_ALLOW" }')

    [option] = security_options(f"seccomp={profile}")["SecurityOpt"]
    assert json.loads(option.removeprefix("seccomp=")) == {"defaultAction": "SCMP_ACT_ALLOW"}
    assert security_options(["seccomp=unconfined"]) == {"SecurityOpt": ["seccomp=unconfined"]}
    profile.write_text("{")
    with pytest.raises(InvalidArgument, match="is not JSON"):
        security_options(f"seccomp:{profile}")


@pytest.mark.parametrize(
    "options",
    [
        {"ulimit": "nofile"},
        {"ulimit": "nofile=many"},
        {"restart": "on-failure:often"},
        {"pids_limit": "some"},
        {"health_interval": "soon"},
        {"health_cmd": "true", "no_healthcheck": True},
    ],
)
def test_values_that_cannot_be_right(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        make_request("image", (), options)  # type: ignore[arg-type]


def test_an_update_changes_what_was_said_and_nothing_else() -> None:
    assert update_body({"cpus": 0.5, "pids_limit": -1}) == {
        "NanoCpus": 500_000_000,
        "PidsLimit": -1,
    }
    with pytest.raises(InvalidArgument, match="nothing to change"):
        update_body({})
    with pytest.raises(InvalidArgument, match='no such option of an update: "memori"') as caught:
        update_body({"memori": "1m"})  # type: ignore[typeddict-unknown-key]
    assert caught.value.hint == "did you mean memory?"


def test_one_text_is_a_list_of_one() -> None:
    assert texts("a") == ["a"]
    assert texts(None) == []
    assert pairs(["a=b=c", "d"]) == {"a": "b=c", "d": ""}
    assert to_nanoseconds(0.5) == to_nanoseconds("500ms")
