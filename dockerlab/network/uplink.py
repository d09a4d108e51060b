"""The way out of an engine's own network namespace, without root: pasta or slirp4netns.

Such a program has one foot in the namespace, where it makes an interface, and one on the host,
where it speaks as any program of the user does. It is a child of the outer half of the service, and
ends with it. The host's own loopback addresses cannot be reached through it.

pasta(1), slirp4netns(1).
"""

import shutil
import time
from collections.abc import Callable
from typing import NamedTuple

from dockerlab.errors import EngineFailure
from dockerlab.network.links import Links
from dockerlab.network.outside import Outside

__all__ = ["Uplink", "start_uplink"]

_INTERFACE = "tap0"
_MTU = "65520"
_READY_TIMEOUT_S = 5.0
_POLL_S = 0.01
_HINT = "install the package passt or slirp4netns, and start the engine again"


class Uplink(NamedTuple):
    """The program that leads out, or why there is none."""

    name: str = ""
    lack: str = ""


def start_uplink(
    outside: Outside,
    links: Links,
    namespaces: tuple[int, int],
    find: Callable[[str], str | None] = shutil.which,
) -> Uplink:
    """Start the first program that works, and wait until it leads out.

    Parameters
    ----------
    links : Links
        Of the engine's network namespace, in which the calling thread is.
    namespaces : (int, int)
        Descriptors of the user and the network namespace.
    """
    failures = []
    for name, make in (("pasta", _pasta), ("slirp4netns", _slirp)):
        program = find(name)
        if program is None:
            continue
        try:
            pid = outside.start(make(program), namespaces)
        except EngineFailure as error:
            failures.append(error.message)
            continue
        if _is_ready(links):
            return Uplink(name)
        outside.stop(pid)
        failures.append(f"{name} makes no interface; the engine's log says why")
    reason = "; ".join(failures) or "neither pasta nor slirp4netns is installed"
    return Uplink(lack=f"containers cannot reach the internet: {reason}; {_HINT}")


def _pasta(program: str) -> list[str]:
    no_ports = ["--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none"]
    return [
        program, "--config-net", "--foreground", "--quiet", "--mtu", _MTU, "--no-map-gw",
        "--ns-ifname", _INTERFACE, *no_ports, "--udp-ns", "none",
        "--userns", "{0}", "--netns", "{1}",
    ]  # fmt: skip


def _slirp(program: str) -> list[str]:
    return [
        program, "--configure", "--mtu", _MTU, "--disable-host-loopback",
        "--userns-path", "{0}", "--netns-type", "path", "{1}", _INTERFACE,
    ]  # fmt: skip


def _is_ready(links: Links) -> bool:
    until_s = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < until_s:
        if links.has_default_route():
            return True
        time.sleep(_POLL_S)
    return False
