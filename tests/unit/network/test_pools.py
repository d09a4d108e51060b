"""Subnets and addresses."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from dockerlab.errors import Conflict, EngineFailure
from dockerlab.network.pools import (
    DEFAULT_POOLS,
    Address,
    Pool,
    choose_address,
    choose_subnet,
    local_subnet6,
)

SUBNET = ip_network("10.1.0.0/29")


def test_the_first_subnet_is_dockers() -> None:
    assert str(choose_subnet(DEFAULT_POOLS, [])) == "172.17.0.0/16"


def test_a_subnet_keeps_out_of_the_way_of_routes_larger_and_smaller() -> None:
    taken = [ip_network("172.16.0.0/14"), ip_network("172.20.5.0/24"), ip_network("fd00::/8")]
    assert str(choose_subnet(DEFAULT_POOLS, taken)) == "172.21.0.0/16"


def test_pools_that_are_used_up_say_what_to_do() -> None:
    pool = Pool(IPv4Network("10.0.0.0/24"), 25)
    with pytest.raises(EngineFailure, match="no subnet is free") as caught:
        choose_subnet([pool], [ip_network("10.0.0.0/8")])
    assert "network prune" in caught.value.hint


def test_a_local_prefix_is_of_the_private_range_and_always_the_same() -> None:
    assert local_subnet6("abc").subnet_of(IPv6Network("fd00::/8"))
    assert local_subnet6("abc") == local_subnet6("abc") != local_subnet6("abd")


def test_addresses_are_handed_out_from_the_lowest() -> None:
    used = {ip_address("10.1.0.1"), ip_address("10.1.0.2")}
    assert str(choose_address(SUBNET, used)) == "10.1.0.3"


def test_the_ends_of_a_subnet_are_nobodys() -> None:
    handed_out: set[Address] = set()
    for _ in range(6):
        handed_out.add(choose_address(SUBNET, handed_out))
    with pytest.raises(Conflict, match="is free"):
        choose_address(SUBNET, handed_out)
    assert {str(a) for a in handed_out} == {f"10.1.0.{n}" for n in range(1, 7)}


def test_a_wanted_address_is_given_or_refused() -> None:
    wanted = ip_address("10.1.0.5")
    assert choose_address(SUBNET, set(), wanted=wanted) == wanted
    with pytest.raises(Conflict, match="already in use"):
        choose_address(SUBNET, {wanted}, wanted=wanted)
    for address in ("10.2.0.5", "10.1.0.0", "10.1.0.7", "fd00::5"):
        with pytest.raises(Conflict, match="is not one of the subnet"):
            choose_address(SUBNET, set(), wanted=ip_address(address))


def test_a_part_of_a_subnet_is_the_only_place_to_choose_from() -> None:
    subnet, within = ip_network("10.1.0.0/16"), ip_network("10.1.5.0/30")
    first = choose_address(subnet, set(), within=within)
    assert str(first) == "10.1.5.0"  # in the middle of its subnet that is an address as any other


def test_a_link_of_two_has_two_addresses() -> None:
    assert str(choose_address(ip_network("10.1.0.0/31"), set())) == "10.1.0.0"


def test_ipv6_has_no_broadcast_address() -> None:
    subnet = ip_network("fd00::/126")
    last = ip_address("fd00::3")
    assert choose_address(subnet, set(), wanted=last) == last
