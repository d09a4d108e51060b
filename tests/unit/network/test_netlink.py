"""Bytes of netlink, as the kernel's headers lay them out."""

from ipaddress import ip_network

import pytest

from dockerlab.network import namespaces
from dockerlab.network.netlink import Netlink, attributes, byte, data, nested, number, text
from dockerlab.network.rtnetlink import GET_LINK, link_named, prohibited, read_route


def test_attributes_are_padded_and_read_back() -> None:
    body = byte(1, 7) + text(2, "eth0") + number(3, 5) + nested(4, number(1, 9))
    assert len(body) % 4 == 0
    found = attributes(b"head" + body, 4)
    assert found[1] == b"\x07"
    assert found[2] == b"eth0\0"
    assert attributes(found[4])[1] == (9).to_bytes(4, "little")


@pytest.mark.parametrize("body", [b"", b"\1", b"\0\0\0\0", b"\3\0\1\0", b"\xff\xff\1\0ab"])
def test_attributes_that_are_cut_off_do_no_harm(body: bytes) -> None:
    assert isinstance(attributes(body), dict)


def test_the_loopback_interface_is_found_without_rights() -> None:
    with Netlink() as netlink:
        assert b"lo\0" in netlink.get(GET_LINK, link_named("lo"))
        with pytest.raises(OSError, match="No such device"):
            netlink.get(GET_LINK, link_named("dl-not-there"))


def test_a_default_route_is_no_destination() -> None:
    # AF_INET, no length, main table, unicast; a gateway.
    header = bytes((2, 0, 0, 0, 254, 3, 0, 1)) + bytes(4)
    assert read_route(header + data(5, bytes((10, 0, 0, 1)))) is None


def test_a_route_is_read() -> None:
    header = bytes((2, 24, 0, 0, 254, 3, 0, 1)) + bytes(4)
    route = read_route(header + data(1, bytes((10, 7, 0, 0))) + number(4, 3))
    assert route == (ip_network("10.7.0.0/24"), 3)


def test_rules_of_others_are_not_ours() -> None:
    header = bytes((2, 0, 0, 0, 254, 0, 0, 1)) + bytes(4)
    assert prohibited(header + text(3, "eth0")) is None


def test_a_namespace_is_left_again() -> None:
    with namespaces.own() as before, namespaces.own() as after:
        assert before != after
