from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from dockerlab.daemon.shapes.container import inspection, status_text, summary
from dockerlab.engine.container import (
    Container,
    ContainerConfig,
    ContainerId,
    ContainerState,
    HostConfig,
)
from dockerlab.engine.network import Endpoint, EndpointSettings, NetworkId, PortBinding
from dockerlab.oci.digest import Digest

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


IDS = {"none": "n" * 64, "mine": "m" * 64}
PLACE = Endpoint(id="e" * 64, network_id=NetworkId(IDS["none"]))


def container(**state: Any) -> Container:
    return Container(
        id=ContainerId("c" * 64),
        name="calm_crane",
        image_id=Digest("sha256:" + "a" * 64),
        created_at=NOW - timedelta(hours=2),
        config=ContainerConfig(
            image="busybox", entrypoint=("sh",), cmd=("-c", "exit 3"), exposed_ports=("80/tcp",)
        ),
        host=HostConfig(network_mode="none", memory_bytes=64 << 20),
        state=ContainerState(**state),
        networks=(EndpointSettings(network="none"),),
        endpoints=(PLACE,) if state.get("status") == "running" else (),
    )


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({}, "Created"),
        ({"status": "running", "started_at": ago(seconds=5)}, "Up 5 seconds"),
        ({"status": "paused", "started_at": ago(minutes=5)}, "Up 5 minutes (Paused)"),
        (
            {"status": "exited", "exit_code": 137, "finished_at": ago(minutes=1)},
            "Exited (137) About a minute ago",
        ),
        (
            {"status": "restarting", "exit_code": 1, "finished_at": ago(seconds=3)},
            "Restarting (1) 3 seconds ago",
        ),
        ({"status": "removing"}, "Removal In Progress"),
        ({"status": "dead"}, "Dead"),
    ],
)
def test_status_is_dockers_sentence(state: dict[str, Any], text: str) -> None:
    assert status_text(container(**state), NOW) == text


def test_a_clock_that_was_set_back_gives_no_negative_age() -> None:
    running = container(status="running", started_at=NOW + timedelta(hours=1))
    assert status_text(running, NOW) == "Up Less than a second"


def test_a_line_of_the_list() -> None:
    shape = summary(
        container(), image="busybox", now=NOW, sizes=None, volume_paths={}, network_ids=IDS
    )
    assert shape["Names"] == ["/calm_crane"]
    assert shape["Command"] == "sh -c 'exit 3'"
    assert shape["Created"] == int((NOW - timedelta(hours=2)).timestamp())
    assert (shape["State"], shape["Status"]) == ("created", "Created")
    assert shape["NetworkSettings"]["Networks"]["none"]["NetworkID"] == IDS["none"]
    assert "SizeRw" not in shape


def test_an_inspection_of_a_container_that_ended() -> None:
    ended = container(
        status="exited", exit_code=3, started_at=ago(seconds=2), finished_at=ago(seconds=1)
    )
    shape = inspection(ended, log_path="/l", sizes=(1, 2), volume_paths={}, network_ids=IDS)
    assert (shape["Path"], shape["Args"]) == ("sh", ["-c", "exit 3"])
    assert shape["State"] == {
        "Status": "exited",
        "Running": False,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 0,
        "ExitCode": 3,
        "Error": "",
        "StartedAt": "2026-01-31T11:59:58Z",
        "FinishedAt": "2026-01-31T11:59:59Z",
    }
    assert shape["Config"]["ExposedPorts"] == {"80/tcp": {}}
    assert shape["HostConfig"]["Memory"] == 64 << 20
    assert shape["HostConfig"]["LogConfig"]["Type"] == "json-file"
    assert (shape["LogPath"], shape["SizeRw"], shape["SizeRootFs"]) == ("/l", 1, 2)
    assert msgspec.json.decode(msgspec.json.encode(shape))["Name"] == "/calm_crane"


def test_what_has_not_happened_is_gos_zero_time() -> None:
    shape = inspection(container(), log_path="", sizes=None, volume_paths={}, network_ids=IDS)
    assert shape["State"]["StartedAt"] == "0001-01-01T00:00:00Z"


def test_only_a_running_container_has_an_endpoint() -> None:
    stopped = inspection(container(), log_path="", sizes=None, volume_paths={}, network_ids=IDS)
    running = inspection(
        container(status="running", started_at=NOW),
        log_path="",
        sizes=None,
        volume_paths={},
        network_ids=IDS,
    )
    assert stopped["NetworkSettings"]["Networks"]["none"]["EndpointID"] == ""
    assert len(running["NetworkSettings"]["Networks"]["none"]["EndpointID"]) == 64


def test_ports_and_places_of_a_running_container() -> None:
    place = Endpoint(
        id="e" * 64,
        network_id=NetworkId(IDS["mine"]),
        interface="eth0",
        interfaces=("10.9.0.2/24", "fd00::2/64"),
        gateways=("10.9.0.1", "fd00::1"),
        mac="02:42:0a:09:00:02",
        names=("calm_crane", "db"),
    )
    ports = tuple(
        PortBinding(port=80, protocol="tcp", host_address=address, host_port=8080)
        for address in ("0.0.0.0", "::")
    )
    running = msgspec.structs.replace(
        container(status="running", started_at=NOW),
        networks=(EndpointSettings(network="mine", aliases=("db",)),),
        endpoints=(place,),
        ports=ports,
    )
    shape = inspection(running, log_path="", sizes=None, volume_paths={}, network_ids=IDS)
    settings = shape["NetworkSettings"]
    mine = settings["Networks"]["mine"]
    assert (mine["IPAddress"], mine["IPPrefixLen"], mine["Gateway"]) == (
        "10.9.0.2", 24, "10.9.0.1",
    )  # fmt: skip
    assert (mine["GlobalIPv6Address"], mine["IPv6Gateway"]) == ("fd00::2", "fd00::1")
    assert (mine["Aliases"], mine["DNSNames"]) == (["db"], ["calm_crane", "db"])
    assert settings["IPAddress"] == ""  # Of the default bridge only.
    assert settings["Ports"] == {
        "80/tcp": [
            {"HostIp": "0.0.0.0", "HostPort": "8080"},
            {"HostIp": "::", "HostPort": "8080"},
        ]
    }
    listed = summary(
        running, image="busybox", now=NOW, sizes=None, volume_paths={}, network_ids=IDS
    )
    assert [(p["IP"], p["PrivatePort"], p["PublicPort"], p["Type"]) for p in listed["Ports"]] == [
        ("0.0.0.0", 80, 8080, "tcp"),
        ("::", 80, 8080, "tcp"),
    ]
