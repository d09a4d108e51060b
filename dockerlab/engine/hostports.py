"""The ports of the host that lead to a container: which are asked for, and which are free.

``docker run -p`` and ``-P``. Docker shows a port without an address as two, of IPv4 and of IPv6,
with one number; where the host has no IPv6 it is one.
"""

import errno
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dockerlab.engine.container import Container
from dockerlab.engine.network import PortBinding, ports_of
from dockerlab.errors import Conflict

__all__ = ["choose_ports", "wanted_ports"]

_ALL4, _ALL6 = "0.0.0.0", "::"  # noqa: S104 - what Docker binds to
_IPV6 = Path("/proc/net/if_inet6")


def wanted_ports(container: Container) -> tuple[PortBinding, ...]:
    """Return what leads to a container, with an address each and in Docker's order."""
    host = container.host
    bindings = list(host.port_bindings)
    if host.publish_all:
        bound = {(binding.port, binding.protocol) for binding in bindings}
        exposed = [port for text in container.config.exposed_ports for port in ports_of(text)]
        bindings += [
            PortBinding(port=port, protocol=protocol)
            for port, protocol in exposed
            if (port, protocol) not in bound
        ]
    has_ipv6 = bool(bindings) and _has_ipv6()
    wanted: list[PortBinding] = []
    for binding in bindings:
        addresses = [binding.host_address or _ALL4]
        addresses += [_ALL6] if has_ipv6 and not binding.host_address else []
        wanted += [msgspec.structs.replace(binding, host_address=each) for each in addresses]
    return tuple(wanted)


def choose_ports(wanted: Sequence[PortBinding]) -> tuple[PortBinding, ...]:
    """Return the bindings with a number for each range, and for each port that is on two addresses.

    Somebody may take it before it is bound: then binding says so.

    Raises
    ------
    Conflict
        All of a range are taken.
    """
    chosen: list[PortBinding] = []
    for binding in wanted:
        twin = chosen[-1] if chosen and _are_twins(chosen[-1], binding) else None
        number = binding.host_port
        if twin is not None:
            number = twin.host_port
        elif binding.last_host_port or (not number and binding.host_address == _ALL4):
            number = _free_port(binding, chosen)
        chosen.append(msgspec.structs.replace(binding, host_port=number, last_host_port=0))
    return tuple(chosen)


def _are_twins(first: PortBinding, second: PortBinding) -> bool:
    return (
        (first.host_address, second.host_address) == (_ALL4, _ALL6)
        and (first.port, first.protocol) == (second.port, second.protocol)
    )  # fmt: skip


def _free_port(binding: PortBinding, chosen: Sequence[PortBinding]) -> int:
    if not binding.host_port:
        return _bind(binding, 0)
    mine = {other.host_port for other in chosen if other.protocol == binding.protocol}
    for number in range(binding.host_port, binding.last_host_port + 1):
        if number in mine:
            continue
        try:
            return _bind(binding, number)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return number  # What is wrong with it, binding says.
    raise Conflict(
        f"cannot publish {binding.host_address}:{binding.host_port}-{binding.last_host_port}"
        f"/{binding.protocol}: all ports of the range are already allocated",
        "choose a larger range",
    )


def _bind(binding: PortBinding, number: int) -> int:
    family = socket.AF_INET6 if ":" in binding.host_address else socket.AF_INET
    kind = socket.SOCK_STREAM if binding.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((binding.host_address, number))
        port: int = sock.getsockname()[1]
        return port


def _has_ipv6() -> bool:
    # Empty where net.ipv6.conf.all.disable_ipv6 is set: then there is no ::1 to be reached at.
    return _IPV6.exists() and bool(_IPV6.read_text(encoding="ascii"))
