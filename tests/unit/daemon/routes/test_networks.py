import pytest

from dockerlab.engine.network import IpamSubnet
from tests.unit.daemon.conftest import Daemon


def test_three_networks_are_always_there(daemon: Daemon) -> None:
    _, listed = daemon.json("GET", "/networks")
    assert [(n["Name"], n["Driver"]) for n in listed] == [
        ("bridge", "bridge"),
        ("host", "host"),
        ("none", "null"),
    ]


def test_a_network_is_found_by_name_and_by_id(daemon: Daemon) -> None:
    _, shape = daemon.json("GET", "/networks/none")
    assert daemon.json("GET", f"/networks/{shape['Id'][:12]}")[1]["Name"] == "none"
    assert daemon.json("GET", "/networks/mine") == (404, {"message": "network mine not found"})


def test_a_network_names_the_containers_that_run_on_it(daemon: Daemon) -> None:
    container_id = daemon.create("sleep")
    daemon.request("POST", "/containers/c/start")
    assert list(daemon.json("GET", "/networks/default")[1].get("Containers", [])) == []
    body = {"Image": "busybox", "Cmd": ["sleep"], "HostConfig": {"NetworkMode": "none"}}
    _, made = daemon.json("POST", "/containers/create?name=n", body)
    daemon.request("POST", "/containers/n/start")
    assert list(daemon.json("GET", "/networks/none")[1]["Containers"]) == [made["Id"]]
    assert made["Id"] != container_id


def test_a_network_is_made_as_it_is_described(daemon: Daemon) -> None:
    body = {
        "Name": "mine",
        "Internal": True,
        "EnableIPv6": True,
        "Labels": {"of": "me"},
        "IPAM": {"Config": [{"Subnet": "10.9.0.0/24", "AuxiliaryAddresses": {"r": "10.9.0.9"}}]},
    }
    assert daemon.json("POST", "/networks/create", body)[0] == 201
    _, shape = daemon.json("GET", "/networks/mine")
    assert (shape["Internal"], shape["EnableIPv6"], shape["Labels"]) == (True, True, {"of": "me"})
    [ipam] = shape["IPAM"]["Config"]
    assert ipam == {"Subnet": "10.9.0.0/24", "AuxiliaryAddresses": {"r": "10.9.0.9"}}
    made = daemon.engine.networks.get("mine")
    assert made.subnets == (IpamSubnet(subnet="10.9.0.0/24", reserved={"r": "10.9.0.9"}),)
    assert daemon.json("POST", "/networks/create", body)[0] == 409
    assert daemon.request("DELETE", "/networks/mine")[0] == 204


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "name cannot be empty"),
        ({"Name": "n", "Driver": "host"}, 403, "only one instance"),
        ({"Name": "n", "Driver": "overlay"}, 404, "could not find plugin"),
        ({"Name": "n", "Ingress": True}, 400, "swarm"),
    ],
)
def test_what_cannot_be_made_is_refused(
    daemon: Daemon, body: dict[str, object], status: int, words: str
) -> None:
    got, shape = daemon.json("POST", "/networks/create", body)
    assert (got, words in shape["message"]) == (status, True)


def test_a_container_comes_and_goes(daemon: Daemon) -> None:
    body = {
        "Container": "c",
        "EndpointConfig": {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "10.9.0.7"}},
    }
    assert daemon.request("POST", "/networks/bridge/connect", body)[0] == 200
    [(name, container, settings)] = daemon.engine.networks.asked
    assert (name, container, settings.aliases, settings.ipv4) == (
        "bridge", "c", ("db",), "10.9.0.7",
    )  # fmt: skip
    left = {"Container": "c", "Force": True}
    assert daemon.request("POST", "/networks/bridge/disconnect", left)[0] == 200
    assert daemon.engine.networks.left == [("bridge", "c", True)]


def test_prune_names_what_it_has_removed(daemon: Daemon) -> None:
    daemon.json("POST", "/networks/create", {"Name": "mine"})
    assert daemon.json("POST", "/networks/prune")[1] == {"NetworksDeleted": ["mine"]}
    assert daemon.json("POST", "/networks/prune")[1] == {"NetworksDeleted": None}
