"""Guests on bridges: who reaches whom, and what is left afterwards."""

import json
import re
import time
from pathlib import Path

import pytest

from dockerlab.errors import Conflict, EngineFailure, NotFound
from dockerlab.network import namespaces
from dockerlab.network.links import Links
from dockerlab.network.messages import EndpointPlan, NetworkPlan, SandboxPlan
from tests.support.engine import wait_until
from tests.support.networks import (
    MARK,
    NetworkService,
    can_reach,
    plan_of,
    run_here,
)

FIRST = NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",))
SECOND = NetworkPlan(id="bb0002", interfaces=("10.112.0.1/24",))


def _links() -> list[str]:
    names = [link["ifname"] for link in json.loads(run_here("ip", "-j", "link"))]
    return [name for name in names if name != "lo"]


def test_guests_reach_each_other_and_the_host_reaches_them(service: NetworkService) -> None:
    one, two = service.guest(2), service.guest(3)
    assert one.can_reach(two.address)
    assert one.can_reach("10.111.0.1")
    assert can_reach(one.address)


def test_networks_are_apart(service: NetworkService) -> None:
    service.sync(FIRST, SECOND)
    one, two = service.guest(2), service.guest(2, "bb0002", subnet="10.112.0")
    assert not one.can_reach(two.address)
    assert not two.can_reach(one.address)


def test_neighbours_are_apart_where_that_is_asked_for(service: NetworkService) -> None:
    service.sync(NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",), has_neighbours=False))
    one, two = service.guest(2), service.guest(3)
    assert not one.can_reach(two.address)
    assert one.can_reach("10.111.0.1")


def test_settings_of_an_endpoint_are_the_interfaces(service: NetworkService) -> None:
    service.sync(NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",), mtu=1400))
    endpoint = EndpointPlan(
        network="aa0001",
        interface="net5",
        addresses=("10.111.0.9/24",),
        gateways=("10.111.0.1",),
        mac="02:42:0a:6f:00:09",
        names=("g",),
    )
    guest = service.open(SandboxPlan(id="g", endpoints=(endpoint,)))
    (link,) = json.loads(guest.run("ip", "-j", "link", "show", "net5"))
    assert (link["address"], link["mtu"], link["operstate"]) == ("02:42:0a:6f:00:09", 1400, "UP")
    assert "default via 10.111.0.1 dev net5" in guest.run("ip", "route")


def test_an_interface_without_ipv6_has_none(service: NetworkService) -> None:
    guest = service.guest(2)
    assert "inet6" not in guest.run("ip", "address", "show", "eth0")
    bridge = next(name for name in _links() if "-" in name)
    assert "inet6" not in run_here("ip", "address", "show", bridge)


def test_ipv6_is_there_at_once_where_it_is_asked_for(service: NetworkService) -> None:
    service.sync(NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24", "fd00:111::1/64")))
    one, two = (
        service.guest(n, addresses6=(f"fd00:111::{n}/64",), gateways=("10.111.0.1", "fd00:111::1"))
        for n in (2, 3)
    )
    assert one.can_reach("fd00:111::3")
    assert two.can_reach("fd00:111::1")
    assert "default via fd00:111::1" in one.run("ip", "-6", "route")


def test_networks_are_joined_and_left_while_it_runs(service: NetworkService) -> None:
    service.sync(FIRST, SECOND)
    one, two = service.guest(2), service.guest(2, "bb0002", subnet="10.112.0")
    place = EndpointPlan(network="bb0002", interface="eth1", addresses=("10.112.0.7/24",))
    service.join(one, place)
    assert one.can_reach(two.address)
    with pytest.raises(Conflict, match="is on that network already"):
        service.join(one, place)
    service.leave(one, "bb0002")
    assert not one.can_reach(two.address)
    with pytest.raises(NotFound, match="is not on that network"):
        service.leave(one, "bb0002")
    service.join(one, place)
    assert one.can_reach(two.address)


def test_requests_that_cannot_be_met_are_answered_with_the_reason(service: NetworkService) -> None:
    guest = service.guest(2)
    with pytest.raises(Conflict, match="is open already"):
        service.open(guest.plan)
    with pytest.raises(NotFound, match="the network cc is not there"):
        service.guest(9, "cc")
    with pytest.raises(NotFound, match="has no network that could be changed"):
        service.leave(guest.__class__(plan_of(8), namespaces.own(), []), "aa0001")
    assert service.guest(10).can_reach(guest.address)  # and it goes on


def test_nothing_is_left_of_guests_that_came_and_went(service: NetworkService) -> None:
    for round_ in range(60):
        guest = service.guest(2 + round_ % 5, upstreams=())
        service.close(guest)
        guest.close()
    # Two namespaces wait for the next guests; the kernel removes links in its own time.
    wait_until(lambda: len(_links()) <= 3, "the links of guests to go")
    fds = service.count_descriptors()
    guest = service.guest(2, upstreams=())
    service.close(guest)
    guest.close()
    time.sleep(0.2)
    assert service.count_descriptors() <= fds


def test_fifty_guests_reach_and_name_each_other(service: NetworkService) -> None:
    guests = [service.guest(n, upstreams=()) for n in range(2, 52)]
    for guest, other in zip(guests, guests[1:] + guests[:1], strict=True):
        assert guest.can_reach(other.address)
        name = other.plan.endpoints[0].names[0]
        assert str(guest.ask(name).a.rdata) == other.address


def test_the_end_takes_all_of_it_along(host: None, tmp_path: Path) -> None:
    before = run_here("nft", "list", "ruleset")
    with NetworkService(tmp_path) as service:
        service.sync(FIRST, SECOND)
        service.guest(2)
        assert _links()
    wait_until(lambda: not _links(), "all links to go")
    assert run_here("nft", "list", "ruleset") == before
    assert not list(tmp_path.glob("*.sock"))
    assert service.log == ""


def test_bridges_of_a_killed_engine_are_removed_and_those_of_others_are_not(
    host: None, tmp_path: Path
) -> None:
    run_here("ip", "link", "add", f"dl{MARK[:5]}-ffffff", "type", "bridge")
    with NetworkService(tmp_path) as killed, NetworkService(tmp_path, "0badbeef") as other:
        other.sync(NetworkPlan(id="aa0001", interfaces=("10.113.0.1/24",)))
        neighbour = other.guest(2, subnet="10.113.0")
        killed.sync(FIRST, SECOND)
        killed.kill()
        killed.connect()
        killed.sync(SECOND)
        names = _links()
        assert f"dl{MARK[:5]}-aa0001" not in names
        assert f"dl{MARK[:5]}-bb0002" in names
        assert f"dl{MARK[:5]}-ffffff" in names  # of the same name, but not of our group
        assert neighbour.can_reach("10.113.0.1")
        assert neighbour.can_reach("10.112.0.1")


def test_a_name_that_somebody_else_has_is_refused(host: None, tmp_path: Path) -> None:
    run_here("ip", "link", "add", f"dl{MARK[:5]}-aa0001", "type", "bridge")
    with NetworkService(tmp_path) as service:
        with pytest.raises(EngineFailure, match="belongs to somebody else"):
            service.sync(FIRST)
        service.sync()
    assert re.search(r"bridge", run_here("ip", "-d", "link", "show", f"dl{MARK[:5]}-aa0001"))


def test_routes_of_others_are_known_and_ours_are_not_among_them(service: NetworkService) -> None:
    run_here("ip", "link", "add", "dl-test", "type", "bridge")
    run_here("ip", "link", "set", "dl-test", "up")
    run_here("ip", "route", "add", "10.200.0.0/16", "dev", "dl-test")
    links = Links(MARK)
    try:
        assert [str(route) for route in links.foreign_routes()] == ["10.200.0.0/16"]
    finally:
        links.close()
