"""The rules that keep networks apart and let them out: nftables, iptables, or none.

What the rules are is one pure function for each tool (`nft_rules`, `iptables_rules`), whole each
time and loaded at once, so nothing is ever half there. They live in a table, or in chains, of our
own; what others have is not touched. Where there is no tool the kernel is not asked to route, so
networks are apart all the same, and the world is out of reach: published ports need no firewall.
nft(8), iptables-restore(8).
"""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dockerlab.errors import EngineFailure
from dockerlab.network.pools import Subnet

__all__ = ["Firewall", "Rule", "choose_firewall", "iptables_rules", "nft_rules"]

_TIMEOUT_S = 10.0
_IPV4 = 4


class Rule(NamedTuple):
    """What one network wants."""

    bridge: str
    subnets: tuple[Subnet, ...]
    is_internal: bool = False
    is_masqueraded: bool = True
    has_neighbours: bool = True  # its containers may talk to each other


class Firewall:
    """A way to load rules.

    Attributes
    ----------
    name : str
        ``nftables``, ``iptables``, or ``''`` where there is none.
    lack : str
        Why there is none.
    """

    def __init__(self, mark: str, name: str, programs: Sequence[str] = (), lack: str = "") -> None:
        self._mark = mark
        self._programs = programs
        self.name = name
        self.lack = lack

    def apply(self, rules: Sequence[Rule]) -> None:
        """Have just these rules; without any, nothing of ours stays.

        Raises
        ------
        EngineFailure
            The tool refuses.
        """
        if self.name == "nftables":
            _feed([self._programs[0], "-f", "-"], nft_rules(self._mark, rules))
        elif self.name == "iptables":
            for version, program in zip((4, 6), self._programs, strict=False):
                _feed([program, "--noflush"], iptables_rules(self._mark, rules, version))


def choose_firewall(mark: str, find: Callable[[str], str | None] = shutil.which) -> Firewall:
    """Return the first tool that works here: nftables, then iptables, then none."""
    lacks = []
    nft = find("nft")
    if nft:
        lack = _refusal([nft, "list", "tables"])
        if not lack:
            return Firewall(mark, "nftables", (nft,))
        lacks.append(lack)
    programs = [p for name in ("iptables-restore", "ip6tables-restore") if (p := find(name))]
    if programs:
        lack = _refusal([programs[0], "--noflush", "--test"])
        if not lack:
            return Firewall(mark, "iptables", programs)
        lacks.append(lack)
    reason = "; ".join(lacks) or "neither nft nor iptables is installed"
    return Firewall(mark, "", lack=reason)


def nft_rules(mark: str, rules: Sequence[Rule]) -> str:
    """Return the whole of our table, which replaces the one that there is."""
    table = f"inet dockerlab-{mark}"
    forward, post = [], []
    for rule in rules:
        bridge = f'"{rule.bridge}"'
        among = "accept" if rule.has_neighbours else "drop"
        forward.append(f"iifname {bridge} oifname {bridge} {among}")
        if rule.is_internal:
            forward += [f"iifname {bridge} drop", f"oifname {bridge} drop"]
        else:
            forward += [
                f"oifname {bridge} ct state established,related accept",
                f"oifname {bridge} drop",
            ]
        if rule.is_masqueraded and not rule.is_internal:
            for subnet in rule.subnets:
                family = "ip" if subnet.version == _IPV4 else "ip6"
                post.append(f"{family} saddr {subnet} oifname != {bridge} masquerade")
    lines = [f"table {table}", f"delete table {table}"]
    if rules:
        lines += [
            f"table {table} {{",
            "chain forward { type filter hook forward priority 0; policy accept;",
            *forward,
            "}",
            "chain postrouting { type nat hook postrouting priority 100; policy accept;",
            *post,
            "}",
            "}",
        ]
    return "\n".join(lines) + "\n"


def iptables_rules(mark: str, rules: Sequence[Rule], version: int) -> str:
    """Return the input of iptables-restore: two chains of ours and the jumps to them.

    Parameters
    ----------
    version : int
        4 or 6, the version of IP.
    """
    forward, post = f"DOCKERLAB-{mark}-F", f"DOCKERLAB-{mark}-P"
    filters, nat = [f"-F {forward}"], [f"-F {post}"]
    for rule in rules:
        bridge = rule.bridge
        among = "ACCEPT" if rule.has_neighbours else "DROP"
        filters.append(f"-A {forward} -i {bridge} -o {bridge} -j {among}")
        if rule.is_internal:
            filters += [f"-A {forward} -i {bridge} -j DROP", f"-A {forward} -o {bridge} -j DROP"]
        else:
            state = "-m conntrack --ctstate RELATED,ESTABLISHED"
            filters += [
                f"-A {forward} -o {bridge} {state} -j ACCEPT",
                f"-A {forward} -o {bridge} -j DROP",
                # A policy of the host's that drops what nobody accepts must not drop this.
                f"-A {forward} -i {bridge} -j ACCEPT",
            ]
        if rule.is_masqueraded and not rule.is_internal:
            nat += [
                f"-A {post} -s {subnet} ! -o {bridge} -j MASQUERADE"
                for subnet in rule.subnets
                if subnet.version == version
            ]
    return "\n".join(
        [
            "*filter", f":{forward} - [0:0]", *filters, "COMMIT",
            "*nat", f":{post} - [0:0]", *nat, "COMMIT", "",
        ]
    )  # fmt: skip


def _refusal(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, input="", capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"{command[0]} fails"])[0]


def _feed(command: Sequence[str], text: str) -> None:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gives no reason"])[0]
        raise EngineFailure(f'"{" ".join(command)}" refuses the rules of the networks: {reason}')
