"""Which subnets and addresses networks and endpoints get."""

from ipaddress import ip_address, ip_network

import pytest

from dockerlab.engine.addressing import assign, mac_of, subnets_for
from dockerlab.engine.network import EndpointSettings, IpamSubnet
from dockerlab.errors import Conflict, InvalidArgument
from dockerlab.network.pools import DEFAULT_POOLS
from tests.unit.engine.records import a_network

WANTED = IpamSubnet(subnet="10.9.0.0/24", ip_range="10.9.0.64/26", reserved={"r": "10.9.0.66"})
NETWORK = a_network(
    subnets=(
        IpamSubnet(
            subnet="10.9.0.0/29", gateway="10.9.0.1", ip_range="", reserved={"r": "10.9.0.2"}
        ),
        IpamSubnet(subnet="fd00::/64", gateway="fd00::1"),
    )
)


def chosen(
    *wanted: IpamSubnet, own: str = "", routes: str = "", has_ipv6: bool = False
) -> list[str]:
    taken, busy = ([ip_network(t) for t in text.split()] for text in (own, routes))
    made = subnets_for("n", wanted, DEFAULT_POOLS, taken, busy, has_ipv6=has_ipv6)
    return [subnet.subnet for subnet in made]


def test_a_subnet_keeps_out_of_the_way_of_networks_and_routes() -> None:
    assert chosen() == ["172.17.0.0/16"]
    assert chosen(own="172.17.0.0/16", routes="172.18.4.0/24") == ["172.19.0.0/16"]


def test_a_subnet_that_was_asked_for_may_have_a_route_but_no_other_network() -> None:
    assert chosen(WANTED, routes="10.0.0.0/8") == ["10.9.0.0/24"]
    with pytest.raises(Conflict, match="Pool overlaps"):
        chosen(WANTED, own="10.0.0.0/8")


def test_ipv6_comes_with_a_subnet_of_its_own() -> None:
    ipv4, ipv6 = chosen(has_ipv6=True)
    assert (ipv4, ip_network(ipv6).prefixlen, ipv6[:2]) == ("172.17.0.0/16", 64, "fd")
    assert chosen(WANTED, IpamSubnet(subnet="fd77::/64"), has_ipv6=True)[1:] == ["fd77::/64"]


def test_the_gateway_is_the_first_address_of_the_range() -> None:
    [made] = subnets_for("n", [WANTED], DEFAULT_POOLS, [], [], has_ipv6=False)
    assert made.gateway == "10.9.0.64"


@pytest.mark.parametrize(
    "wanted",
    [
        IpamSubnet(subnet="10.9.0.1/24"),
        IpamSubnet(subnet="nonsense"),
        IpamSubnet(subnet="10.9.0.0/24", gateway="10.8.0.1"),
        IpamSubnet(subnet="10.9.0.0/24", ip_range="10.8.0.0/25"),
        IpamSubnet(subnet="10.9.0.0/24", reserved={"r": "fd00::1"}),
    ],
)
def test_what_cannot_be_a_subnet_is_refused(wanted: IpamSubnet) -> None:
    with pytest.raises(InvalidArgument):
        chosen(wanted)


def test_an_endpoint_gets_the_lowest_free_address_of_each_version() -> None:
    used = [ip_address("10.9.0.3")]
    interfaces, gateways = assign(NETWORK, EndpointSettings(network="mine"), used)
    assert interfaces == ("10.9.0.4/29", "fd00::2/64")
    assert gateways == ("10.9.0.1", "fd00::1")
    assert mac_of(interfaces) == "02:42:0a:09:00:04"


def test_an_endpoint_gets_the_address_that_was_asked_for_or_none() -> None:
    wanted = EndpointSettings(network="mine", ipv4="10.9.0.6", ipv6="fd00::77")
    assert assign(NETWORK, wanted, [])[0] == ("10.9.0.6/29", "fd00::77/64")
    with pytest.raises(Conflict, match="in use"):
        assign(NETWORK, wanted, [ip_address("10.9.0.6")])
    with pytest.raises(InvalidArgument, match="no configured subnet"):
        assign(NETWORK, EndpointSettings(network="mine", ipv4="10.8.0.6"), [])


def test_an_internal_network_has_no_way_out() -> None:
    network = a_network(subnets=NETWORK.subnets, is_internal=True)
    assert assign(network, EndpointSettings(network="mine"), [])[1] == ()
