"""Ways out and walls between networks: nftables, iptables, neither; beside rules of others."""

import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from dockerlab.kernel.fds import OwnedFd
from dockerlab.network import namespaces
from dockerlab.network.firewall import Firewall, Rule, choose_firewall
from dockerlab.network.iptables import Iptables
from dockerlab.network.links import Links, set_loopback_up
from dockerlab.network.messages import NetworkPlan
from dockerlab.network.netlink import ACK, Message, Netlink, number
from tests.support.networks import MARK, Guest, NetworkService, can_reach, run_here

PLAIN = NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",))
SECOND = NetworkPlan(id="bb0002", interfaces=("10.112.0.1/24",))
INTERNAL = NetworkPlan(id="cc0003", interfaces=("10.113.0.1/24",), is_internal=True)
WORLD = "192.0.2.2"


@contextmanager
def _world() -> Iterator[OwnedFd]:
    """Give the host a way out: a neighbour that knows the way back to the host alone."""
    with namespaces.make() as made:
        set_loopback_up(made)
        run_here("ip", "link", "add", "up0", "type", "veth", "peer", "name", "eth0")
        namespace = OwnedFd(made)
        _move(namespace)
        run_here("ip", "address", "add", "192.0.2.1/24", "dev", "up0")
        run_here("ip", "link", "set", "up0", "up")
        run_here("ip", "route", "add", "default", "via", WORLD)
        with namespaces.inside(made):
            run_here("ip", "address", "add", f"{WORLD}/24", "dev", "eth0")
            run_here("ip", "link", "set", "eth0", "up")
        yield namespace
        namespace.release()


def _move(namespace: OwnedFd) -> None:
    """Move the interface "eth0" into a namespace."""
    header = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex("eth0"), 0, 0)
    with Netlink() as netlink:
        netlink.ask(Message(16, ACK, header + number(28, namespace.number)))


def _hidden(*names: str) -> Callable[[str], str | None]:
    return lambda name: None if name.startswith(names) else shutil.which(name)


def test_the_rules_for_nftables_are_read_as_meant_by_nft(host: None) -> None:
    firewall = choose_firewall(MARK)
    assert firewall.name == "nftables"
    subnets = (ip_network("10.1.0.0/24"), ip_network("fd00:1::/64"))
    firewall.apply([Rule("br-a", subnets), Rule("br-i", (), is_internal=True)])
    text = run_here("nft", "list", "table", "inet", f"dockerlab-{MARK}")
    for line in (
        'iifname "br-a" oifname "br-a" accept',
        'oifname "br-a" ct state established,related accept',
        'oifname "br-a" drop',
        'iifname "br-i" drop',
        'ip saddr 10.1.0.0/24 oifname != "br-a" masquerade',
        'ip6 saddr fd00:1::/64 oifname != "br-a" masquerade',
    ):
        assert line in text
    firewall.apply([])
    assert run_here("nft", "list", "ruleset").strip() == ""


def test_many_networks_are_one_transaction(host: None) -> None:
    firewall = choose_firewall(MARK, lambda _: None)
    rules = [Rule(f"br-{n}", (ip_network(f"10.{n}.0.0/24"),)) for n in range(250)]
    firewall.apply(rules)
    assert run_here("nft", "list", "ruleset").count("masquerade") == 250


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_iptables_loads_the_same_twice_and_removes_it(host: None, variant: str) -> None:
    def find(name: str) -> str | None:
        tool, verb = name.split("-")
        return shutil.which(f"{tool}-{variant}-{verb}")

    save = f"iptables-{variant}-save"
    run_here(f"iptables-{variant}", "-A", "FORWARD", "-i", "other0", "-j", "ACCEPT")
    before = run_here(save)
    iptables = Iptables(MARK, find)
    assert iptables.refusal() == ""
    rules = [Rule("br-a", (ip_network("10.1.0.0/24"), ip_network("fd00:1::/64")))]
    for _ in range(2):
        iptables.apply(rules)
    text = run_here(save)
    assert text.count(f"-A FORWARD -j DOCKERLAB-{MARK}-F") == 1
    assert text.index(f"-A FORWARD -j DOCKERLAB-{MARK}-F") < text.index("-A FORWARD -i other0")
    assert "-A DOCKERLAB-7e57ab1e-P -s 10.1.0.0/24 ! -o br-a -j MASQUERADE" in text
    assert "fd00:1::/64" in run_here(f"ip6tables-{variant}-save")
    # A new process, after a kill, finds what the old one left.
    Iptables(MARK, find).apply([])
    after = run_here(save)
    assert "DOCKERLAB" not in after
    assert "DOCKERLAB" not in run_here(f"ip6tables-{variant}-save")
    assert "-A FORWARD -i other0 -j ACCEPT" in after
    assert before.count("\n-A ") == after.count("\n-A ")


def test_another_engines_rules_stay(host: None) -> None:
    subnets = (ip_network("10.1.0.0/24"),)
    for mark in (MARK, "0badbeef"):
        choose_firewall(mark).apply([Rule("br-a", subnets)])
        iptables = Iptables(mark, shutil.which)
        iptables.apply([Rule("br-a", subnets)])
    choose_firewall(MARK).apply([])
    Iptables(MARK, shutil.which).apply([])
    assert "dockerlab-0badbeef" in run_here("nft", "list", "ruleset")
    assert "DOCKERLAB-0badbeef-F" in run_here("iptables-save")
    assert MARK not in run_here("nft", "list", "ruleset")


def test_guests_reach_the_world_and_not_each_others_networks(host: None, tmp_path: Path) -> None:
    with _world(), NetworkService(tmp_path) as service:
        service.sync(PLAIN, SECOND, INTERNAL)
        one, two, shut_in = _guests(service)
        assert one.can_reach(WORLD)
        assert two.can_reach(WORLD)
        assert not shut_in.can_reach(WORLD)
        assert not one.can_reach(two.address)
        assert not one.can_reach(shut_in.address)
        assert not shut_in.can_reach(one.address)
        assert can_reach(shut_in.address)


def test_a_network_without_masquerade_is_seen_with_its_own_addresses(
    host: None, tmp_path: Path
) -> None:
    plain = NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",), is_masqueraded=False)
    with _world() as world, NetworkService(tmp_path) as service:
        service.sync(plain)
        guest = service.guest(2)
        assert not guest.can_reach(WORLD)  # it knows no way back
        with namespaces.inside(world.number):
            run_here("ip", "route", "add", "10.111.0.0/24", "via", "192.0.2.1")
        assert guest.can_reach(WORLD)


def test_from_the_world_nobody_comes_in(host: None, tmp_path: Path) -> None:
    with _world() as world, NetworkService(tmp_path) as service:
        service.sync(PLAIN)
        guest = service.guest(2)
        with namespaces.inside(world.number):
            run_here("ip", "route", "add", "10.111.0.0/24", "via", "192.0.2.1")
            assert not can_reach(guest.address)


@pytest.mark.parametrize("has_docker", [False, True])
def test_a_policy_that_drops_does_not_cut_guests_off(
    host: None, tmp_path: Path, *, has_docker: bool
) -> None:
    run_here("iptables", "-P", "FORWARD", "DROP")
    if has_docker:
        run_here("iptables", "-N", "DOCKER-USER")
        run_here("iptables", "-I", "FORWARD", "-j", "DOCKER-USER")
    before = _without_numbers(run_here("iptables-save"))
    with _world(), NetworkService(tmp_path) as service:
        service.sync(PLAIN, SECOND, INTERNAL)
        one, two, shut_in = _guests(service)
        assert one.can_reach(WORLD)
        assert not one.can_reach(two.address)
        assert not shut_in.can_reach(WORLD)
        parent = "DOCKER-USER" if has_docker else "FORWARD"
        assert f"-A {parent} -j DOCKERLAB-{MARK}-F" in run_here("iptables-save")
    assert _without_numbers(run_here("iptables-save")) == before


def test_with_iptables_alone_guests_reach_the_world(host: None) -> None:
    run_here("iptables", "-P", "FORWARD", "DROP")
    firewall = Firewall(MARK, "iptables", Iptables(MARK, shutil.which))
    rule = Rule("dl-br", (ip_network("10.111.0.0/24"),))
    with _world(), namespaces.make() as made:
        run_here("ip", "link", "add", "dl-br", "type", "veth", "peer", "name", "eth0")
        _move(OwnedFd(made))
        run_here("ip", "address", "add", "10.111.0.1/24", "dev", "dl-br")
        run_here("ip", "link", "set", "dl-br", "up")
        with namespaces.inside(made):
            run_here("ip", "address", "add", "10.111.0.2/24", "dev", "eth0")
            run_here("ip", "link", "set", "eth0", "up")
            run_here("ip", "route", "add", "default", "via", "10.111.0.1")
        run_here("sysctl", "-qw", "net.ipv4.ip_forward=1")
        firewall.apply([rule])
        with namespaces.inside(made):
            assert can_reach(WORLD)
        firewall.apply([rule._replace(is_internal=True)])
        with namespaces.inside(made):
            assert not can_reach(WORLD)
        firewall.apply([])
        assert "DOCKERLAB" not in run_here("iptables-save")


def test_without_any_tool_networks_are_apart_on_a_host_that_routes(
    host: None, tmp_path: Path
) -> None:
    run_here("sysctl", "-qw", "net.ipv4.ip_forward=1")
    with _world(), NetworkService(tmp_path) as service:
        service.sync(PLAIN, SECOND)
        one, two = _guests(service, has_internal=False)
        # As a service without a tool leaves it.
        choose_firewall(MARK).apply([])
        links = Links(MARK)
        bridges = [name for name in links.owned() if "-" in name]
        assert one.can_reach(two.address)
        links.shut_in({(bridge, version) for bridge in bridges for version in (4, 6)})
        assert not one.can_reach(two.address)
        assert not one.can_reach(WORLD)
        assert one.can_reach("10.111.0.1")
        assert can_reach(one.address)
        assert "prohibit" in run_here("ip", "-6", "rule")
        links.shut_in(())
        assert "prohibit" not in run_here("ip", "rule")
        links.close()


def test_a_host_without_a_tool_says_so(host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("dockerlab.network.firewall.replace_table", refuse)
    firewall = choose_firewall(MARK, _hidden("iptables", "ip6tables"))
    assert firewall.name == ""
    assert firewall.lack == (
        "nftables cannot be used (Operation not supported), and iptables is not installed"
    )
    firewall.apply([])
    assert choose_firewall(MARK).name == "iptables"


def _guests(service: NetworkService, *, has_internal: bool = True) -> list[Guest]:
    guests = [service.guest(2), service.guest(2, "bb0002", subnet="10.112.0")]
    if has_internal:
        guests.append(service.guest(2, "cc0003", subnet="10.113.0"))
    return guests


def _without_numbers(saved: str) -> list[str]:
    """Return rules without counters, times, and tables that hold nothing."""
    lines = [line.partition(" [")[0] for line in saved.splitlines()]
    return sorted(line for line in lines if line.startswith((":", "-")) and "ACCEPT" not in line)
