import json
from typing import Any

import msgspec
import pytest

from dockerlab.daemon.shapes.creation import CreateBody, ExecBody, creation, exec_config
from dockerlab.engine.container import ContainerConfig, HostConfig
from dockerlab.engine.network import EndpointSettings
from dockerlab.errors import InvalidArgument, Unsupported

# What the docker client 28.2 sends for `docker run hello-world` (recorded).
CLI_HOST: dict[str, Any] = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "", "Config": {}},
    "NetworkMode": "default",
    "PortBindings": {},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "ConsoleSize": [0, 0],
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "",
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "",
    "Cgroup": "",
    "Links": None,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "UTSMode": "",
    "UsernsMode": "",
    "ShmSize": 0,
    "Isolation": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": [],
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "Devices": [],
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": -1,
    "OomKillDisable": False,
    "PidsLimit": 0,
    "Ulimits": [],
    "MaskedPaths": None,
    "ReadonlyPaths": None,
}
CLI_BODY: dict[str, Any] = {
    "Hostname": "",
    "Env": None,
    "Cmd": None,
    "Image": "hello-world",
    "Volumes": {},
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": {},
    "HostConfig": CLI_HOST,
    "NetworkingConfig": {"EndpointsConfig": {"default": {"IPAMConfig": None, "MacAddress": ""}}},
}


def read(body: dict[str, Any]) -> tuple[ContainerConfig, HostConfig]:
    return creation(msgspec.json.decode(json.dumps(body), type=CreateBody))[:2]


def places(body: dict[str, Any]) -> tuple[EndpointSettings, ...]:
    return creation(msgspec.json.decode(json.dumps({"Image": "a", **body}), type=CreateBody))[2]


def host(**changes: Any) -> HostConfig:
    return read({"Image": "a", "HostConfig": changes})[1]


def test_what_the_docker_client_sends_by_default_asks_for_nothing() -> None:
    config, given = read(CLI_BODY)
    assert config == ContainerConfig(image="hello-world")
    assert given == HostConfig(log_driver="")


def test_the_least_that_a_client_can_send_is_an_image() -> None:
    assert read({"Image": "a"}) == (ContainerConfig(image="a"), HostConfig(log_driver=""))
    with pytest.raises(InvalidArgument, match="no image"):
        read({})


def test_commands_are_lists_or_one_string() -> None:
    config, _ = read({"Image": "a", "Cmd": "ls", "Entrypoint": [""]})
    assert (config.cmd, config.entrypoint) == (("ls",), ("",))
    config, _ = read({"Image": "a", "Cmd": [], "Entrypoint": []})
    assert (config.cmd, config.entrypoint) == (None, None)


def test_a_nul_cannot_reach_execve() -> None:
    for key in ("Cmd", "Env", "Entrypoint"):
        with pytest.raises(InvalidArgument, match="NUL"):
            read({"Image": "a", key: ["a\0b"]})


def test_limits_are_taken_over() -> None:
    given = host(Memory=64 << 20, NanoCpus=10**9, PidsLimit=-1, MemorySwap=-1, ShmSize=4096)
    assert given.memory_bytes == 64 << 20
    assert (given.nano_cpus, given.pids_limit, given.memory_swap_bytes) == (10**9, -1, -1)
    assert given.shm_size_bytes == 4096


@pytest.mark.parametrize(
    "changes",
    [
        {"Memory": -1},
        {"Memory": 1 << 63},
        {"PidsLimit": -2},
        {"OomScoreAdj": 1001},
        {"Memory": "64m"},
        {"CapAdd": "ALL"},
        {"ShmSize": -1},
    ],
)
def test_values_that_cannot_be_right_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        host(**changes)


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"DeviceRequests": [{"Count": -1}]}, "--gpus"),
        ({"Links": ["a"]}, "--link"),
    ],
)
def test_what_is_not_done_yet_is_refused_by_its_flag(changes: dict[str, Any], flag: str) -> None:
    with pytest.raises(Unsupported) as raised:
        host(**changes)
    assert flag in raised.value.message


def test_ports_may_be_random_ranges_and_of_an_address() -> None:
    given = host(
        PortBindings={
            "80/tcp": [{"HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": ""}],
            "53/udp": [{"HostPort": "5300-5310"}],
            "99": None,
        },
        PublishAllPorts=True,
    )
    assert given.publish_all
    assert [
        (p.port, p.protocol, p.host_address, p.host_port, p.last_host_port)
        for p in given.port_bindings
    ] == [
        (80, "tcp", "", 8080, 0),
        (80, "tcp", "127.0.0.1", 0, 0),
        (53, "udp", "", 5300, 5310),
    ]


@pytest.mark.parametrize(
    "bindings",
    [
        {"0/tcp": []},
        {"70000/tcp": []},
        {"80/icmp": []},
        {"80/tcp": [{"HostPort": "x"}]},
        {"80/tcp": [{"HostPort": "90-80"}]},
        {"80/tcp": [{"HostIp": "here"}]},
    ],
)
def test_ports_that_cannot_be_are_refused(bindings: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        host(PortBindings={key: value or [{}] for key, value in bindings.items()})


def test_the_place_of_the_mode_is_the_first() -> None:
    settings = {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}}
    found = places(
        {
            "HostConfig": {"NetworkMode": "mine"},
            "NetworkingConfig": {"EndpointsConfig": {"other": None, "mine": settings}},
            "MacAddress": "02:00:00:00:00:0A",
        }
    )
    assert [place.network for place in found] == ["mine", "other"]
    assert (found[0].aliases, found[0].ipv4) == (("db",), "10.0.0.9")
    assert found[0].mac == "02:00:00:00:00:0a"
    assert [place.network for place in places({})] == ["default"]
    assert places({"HostConfig": {"NetworkMode": "container:x"}}) == ()


def test_hardware_addresses_are_checked() -> None:
    with pytest.raises(InvalidArgument, match="MAC"):
        places({"MacAddress": "nonsense"})


@pytest.mark.parametrize(
    ("mode", "network"),
    [("", "default"), ("default", "default"), ("none", "none"), ("host", "host")],
)
def test_the_default_network_is_left_to_the_tier(mode: str, network: str) -> None:
    assert host(NetworkMode=mode).network_mode == network
    assert read({"Image": "a", "NetworkDisabled": True})[1].network_mode == "none"


def test_an_exec_takes_over_what_it_is_told() -> None:
    body = ExecBody(cmd=["a", "b"], env=["A=1"], user="1", working_dir="/w", tty=True)
    config = exec_config(body)
    assert (config.argv, config.env, config.user) == (("a", "b"), ("A=1",), "1")
    assert (config.working_dir, config.tty, config.attach_stdin) == ("/w", True, False)
