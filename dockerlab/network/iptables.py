"""The rules of the networks as iptables has them: two chains of ours, and the jumps to them.

What to load is one pure function of what is wanted and what iptables-save shows, so that it can be
loaded again and again: jumps come first in their chain, once, and go with the last network. In
`DOCKER-USER` where a Docker has made it, for that is the chain which Docker leaves to others.
iptables-restore(8).
"""

import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network
from typing import NamedTuple

from dockerlab.errors import EngineFailure
from dockerlab.network.pools import Subnet

__all__ = ["SAMPLE", "Iptables", "Rule", "iptables_rules"]

_TIMEOUT_S = 10.0
_IPV6 = 6
_STATE = "-m conntrack --ctstate RELATED,ESTABLISHED"


class Rule(NamedTuple):
    """What one network wants."""

    bridge: str
    subnets: tuple[Subnet, ...]
    is_internal: bool = False
    is_masqueraded: bool = True
    has_neighbours: bool = True  # its containers may talk to each other


# Of an interface that is not there: what shows whether rules can be loaded.
SAMPLE = Rule("dl-probe", (IPv4Network("192.0.2.0/24"),))


class Iptables:
    """iptables-save and iptables-restore, whichever kernel interface they are built for.

    Parameters
    ----------
    find : callable
        Returns the path of a program, or None.
    """

    def __init__(self, mark: str, find: Callable[[str], str | None]) -> None:
        self._mark = mark
        self._programs = {
            version: found
            for version, name in ((4, "iptables"), (_IPV6, "ip6tables"))
            if len(found := [p for n in ("save", "restore") if (p := find(f"{name}-{n}"))]) == 2  # noqa: PLR2004
        }
        # What a killed engine left is looked for once.
        self._looked_at: set[int] = set()

    @property
    def is_installed(self) -> bool:
        """Tell whether the programs for IPv4 are there."""
        return 4 in self._programs  # noqa: PLR2004 - the version of IP

    def refusal(self) -> str:
        """Return why rules cannot be loaded here; '' when they can."""
        probe = iptables_rules("probe", [SAMPLE], 4, "")
        _, restore = self._programs[4]
        try:
            _run([restore, "--noflush", "--test"], probe)
        except EngineFailure as error:
            return error.message
        return ""

    def apply(self, rules: Sequence[Rule], *, is_beside: bool = False) -> None:
        """Have just these rules.

        Parameters
        ----------
        is_beside : bool
            Another tool keeps networks apart and lets them out; here they are only accepted, on a
            host where a policy of iptables would drop them.

        Raises
        ------
        EngineFailure
            The tool refuses.
        """
        for version, (save, restore) in self._programs.items():
            is_wanted = any(subnet.version == version for rule in rules for subnet in rule.subnets)
            if not is_wanted and version in self._looked_at and version == _IPV6:
                continue
            try:
                saved = _run([save])
                is_unused = is_beside and "*filter" not in saved
                text = iptables_rules(
                    self._mark, () if is_unused else rules, version, saved, is_beside=is_beside
                )
                if text:
                    _run([restore, "--noflush"], text)
            except EngineFailure:
                if is_wanted:
                    raise
            if not is_wanted:
                self._looked_at.add(version)
            else:
                self._looked_at.discard(version)


def iptables_rules(
    mark: str, rules: Sequence[Rule], version: int, saved: str, *, is_beside: bool = False
) -> str:
    """Return the input of ``iptables-restore --noflush``; '' when there is nothing to do.

    Parameters
    ----------
    version : int
        4 or 6, the version of IP.
    saved : str
        What iptables-save shows.
    is_beside : bool
        Only accept.
    """
    is_docker_there = re.search(r"^:DOCKER-USER ", saved, re.MULTILINE) is not None
    forward = _chain(
        _section(saved, "filter"),
        f"DOCKERLAB-{mark}-F",
        "DOCKER-USER" if is_docker_there else "FORWARD",
        [line for rule in rules for line in _forward(rule, is_beside=is_beside)],
    )
    post = _chain(
        _section(saved, "nat"),
        f"DOCKERLAB-{mark}-P",
        "POSTROUTING",
        [] if is_beside else [line for rule in rules for line in _masquerade(rule, version)],
    )
    lines: list[str] = []
    for table, chain in (("filter", forward), ("nat", post)):
        if chain:
            lines += [f"*{table}", *chain, "COMMIT"]
    return "\n".join([*lines, ""]) if lines else ""


def _forward(rule: Rule, *, is_beside: bool) -> list[str]:
    bridge = rule.bridge
    among = "ACCEPT" if rule.has_neighbours else "DROP"
    lines = [f"-i {bridge} -o {bridge} -j {among}"]
    if rule.is_internal:
        lines += [f"-i {bridge} -j DROP", f"-o {bridge} -j DROP"]
    else:
        lines += [
            f"-o {bridge} {_STATE} -j ACCEPT",
            f"-o {bridge} -j DROP",
            # A policy of the host's that drops what nobody accepts must not drop this.
            f"-i {bridge} -j ACCEPT",
        ]
    return [line for line in lines if not is_beside or line.endswith("ACCEPT")]


def _masquerade(rule: Rule, version: int) -> list[str]:
    if rule.is_internal or not rule.is_masqueraded:
        return []
    return [
        f"-s {subnet} ! -o {rule.bridge} -j MASQUERADE"
        for subnet in rule.subnets
        if subnet.version == version
    ]


def _chain(saved: Sequence[str], name: str, parent: str, rules: Iterable[str]) -> list[str]:
    """Return the lines that make a chain of ours, and the jump to it, as they shall be."""
    rules = list(rules)
    is_there = any(line.startswith(f":{name} ") for line in saved)
    jumps = [line for line in saved if re.fullmatch(rf"-A \S+ (.* )?-j {name}", line)]
    lines = [f":{name} - [0:0]"] if rules or is_there else []
    lines += [f"-D {jump.removeprefix('-A ')}" for jump in jumps]
    if rules:
        return [*lines, *(f"-A {name} {rule}" for rule in rules), f"-I {parent} 1 -j {name}"]
    return [*lines, f"-F {name}", f"-X {name}"] if is_there else lines


def _section(saved: str, table: str) -> list[str]:
    lines = saved.splitlines()
    if f"*{table}" not in lines:
        return []
    start = lines.index(f"*{table}") + 1
    return lines[start : lines.index("COMMIT", start)]


def _run(command: Sequence[str], text: str = "") -> str:
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineFailure(f'"{command[0]}" cannot be executed: {error}') from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gives no reason"])[0]
        raise EngineFailure(f'"{" ".join(command)}" refuses the rules of the networks: {reason}')
    return done.stdout
