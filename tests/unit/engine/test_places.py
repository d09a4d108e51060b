"""Which networks a new container is to be on, and which ports lead to it."""

import socket
from collections.abc import Iterator

import msgspec
import pytest

from dockerlab.engine.container import ContainerConfig, HostConfig
from dockerlab.engine.hostports import choose_ports, wanted_ports
from dockerlab.engine.network import EndpointSettings, PortBinding, asked_networks, ports_of
from dockerlab.engine.networkplans import check_options, network_plan
from dockerlab.engine.places import settle_places
from dockerlab.errors import Conflict, InvalidArgument
from tests.unit.engine.records import a_container, a_network

NETWORKS = {n.name: n for n in (a_network("bridge"), a_network("mine"), a_network("other"))}
CONFIG = ContainerConfig(image="x")
WEB = PortBinding(port=80, protocol="tcp", host_port=8080)


def settle(
    host: HostConfig, *asked: EndpointSettings, config: ContainerConfig = CONFIG
) -> tuple[tuple[EndpointSettings, ...], list[str]]:
    by_id = {network.id: network for network in NETWORKS.values()}
    return settle_places(
        config,
        host,
        asked,
        lambda name: NETWORKS.get(name) or by_id.get(name),  # type: ignore[call-overload]
    )


def test_the_default_is_what_the_tier_says() -> None:
    places, warnings = settle(
        HostConfig(network_mode="bridge"), EndpointSettings(network="default")
    )
    assert (places, warnings) == ((EndpointSettings(network="bridge"),), [])


def test_places_go_by_the_names_of_their_networks() -> None:
    mine, other = NETWORKS["mine"], NETWORKS["other"]
    asked = EndpointSettings(network=mine.id, aliases=("db",)), EndpointSettings(network=other.id)
    places, _ = settle(HostConfig(network_mode=mine.id), *asked)
    assert [place.network for place in places] == ["mine", "other"]
    assert places[0].aliases == ("db",)


def test_a_network_may_come_later() -> None:
    places, _ = settle(HostConfig(network_mode="later"))
    assert places == (EndpointSettings(network="later"),)


@pytest.mark.parametrize(
    ("host", "asked", "words"),
    [
        ({"network_mode": "bridge"}, {"network": "default", "aliases": ("a",)}, "aliases"),
        (
            {"network_mode": "bridge"},
            {"network": "default", "ipv4": "172.17.0.9"},
            "user specified",
        ),
        ({"network_mode": "host"}, {"network": "mine"}, "cannot attach both"),
        ({"network_mode": "host"}, {"network": "host", "mac": "02:00:00:00:00:01"}, "mac-address"),
        ({"network_mode": "container:x", "publish_all": True}, {"network": "x"}, "publishing"),
        ({"network_mode": "container:x", "port_bindings": (WEB,)}, {"network": "x"}, "publishing"),
    ],
)
def test_contradictions_are_refused(
    host: dict[str, object], asked: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidArgument, match=words):
        settle(msgspec.convert(host, HostConfig), msgspec.convert(asked, EndpointSettings))


def test_who_shares_a_network_exposes_nothing() -> None:
    config = ContainerConfig(image="x", exposed_ports=("80/tcp",))
    with pytest.raises(InvalidArgument, match="exposing"):
        settle(HostConfig(network_mode="container:x"), config=config)
    assert settle(HostConfig(network_mode="container:x")) == ((), [])


def test_ports_on_the_hosts_network_are_a_warning() -> None:
    _, warnings = settle(HostConfig(network_mode="host", port_bindings=(WEB,)))
    assert warnings == ["Published ports are discarded when using host network mode"]


def test_a_container_without_places_has_that_of_its_mode() -> None:
    assert asked_networks("bridge", ()) == (EndpointSettings(network="bridge"),)
    assert asked_networks("container:x", ()) == ()


def test_ports_are_written_with_and_without_range_and_protocol() -> None:
    assert list(ports_of("80")) == [(80, "tcp")]
    assert list(ports_of("80-81/udp")) == [(80, "udp"), (81, "udp")]
    for text in ("", "0", "x", "81-80", "80/icmp", "65536"):
        with pytest.raises(InvalidArgument):
            list(ports_of(text))


def test_all_ports_are_those_that_the_image_names_too() -> None:
    config = ContainerConfig(image="x", exposed_ports=("80/tcp", "90/udp"))
    host = HostConfig(publish_all=True, port_bindings=(WEB,))
    wanted = wanted_ports(a_container(config=config, host=host))
    assert {(p.port, p.protocol) for p in wanted} == {(80, "tcp"), (90, "udp")}
    assert all(p.host_port == 8080 for p in wanted if p.port == 80)


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_a_range_gives_what_is_free(busy: int) -> None:
    wanted = PortBinding(
        port=80, protocol="tcp", host_address="127.0.0.1", host_port=busy, last_host_port=busy + 9
    )
    first, second = choose_ports([wanted, wanted])
    assert busy < first.host_port < second.host_port <= busy + 9
    full = msgspec.structs.replace(wanted, last_host_port=busy)
    with pytest.raises(Conflict, match="already allocated"):
        choose_ports([full])


def test_both_addresses_of_a_port_have_one_number() -> None:
    wanted = [
        PortBinding(port=80, protocol="tcp", host_address=address) for address in ("0.0.0.0", "::")
    ]
    first, second = choose_ports(wanted)
    assert first.host_port == second.host_port > 0


def test_options_of_a_bridge_are_dockers() -> None:
    options = {
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "0",
        "com.docker.network.driver.mtu": "1400",
    }
    check_options(options)
    plan = network_plan(a_network(options=options))
    assert (plan.has_neighbours, plan.is_masqueraded, plan.mtu) == (False, False, 1400)
    for key, value in (
        ("com.docker.network.bridge.enable_icc", "maybe"),
        ("com.docker.network.driver.mtu", "12"),
    ):
        with pytest.raises(InvalidArgument):
            check_options({key: value})
