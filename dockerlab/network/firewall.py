"""The rules that keep networks apart and let them out: nftables, iptables, or none.

nftables is spoken with the kernel itself, so no program has to be installed; iptables is the way
where the kernel has only that. The rules lie in a table, or in chains, of our own, whole each time
and loaded at once; what others have is not touched. Where there is neither, nothing is forwarded at
all, so networks are apart all the same and the world is out of reach: published ports need none.
"""

import shutil
import sys
from collections.abc import Callable, Sequence

from dockerlab.errors import EngineFailure
from dockerlab.network.iptables import SAMPLE, Iptables, Rule
from dockerlab.network.nftables import (
    ACCEPT,
    DROP,
    FORWARD,
    MASQUERADE,
    POSTROUTING,
    Chain,
    entering,
    established,
    from_subnet,
    leaving,
    replace_table,
)

__all__ = ["Firewall", "Rule", "choose_firewall", "nft_chains"]


class Firewall:
    """A way to load rules.

    Attributes
    ----------
    name : str
        ``nftables``, ``iptables``, or ``''`` where there is none.
    lack : str
        Why there is none.
    """

    def __init__(self, mark: str, name: str, iptables: Iptables | None, lack: str = "") -> None:
        self._table = f"dockerlab-{mark}"
        self._iptables = iptables
        self.name = name
        self.lack = lack

    def apply(self, rules: Sequence[Rule]) -> None:
        """Have just these rules; without any, nothing of ours stays.

        Raises
        ------
        EngineFailure
            The kernel or the tool refuses.
        """
        if self.name == "nftables":
            try:
                replace_table(self._table, nft_chains(rules))
            except OSError as error:
                raise EngineFailure(
                    f"nftables refuses the rules of the networks: {error.strerror}"
                ) from error
        if self._iptables is None:
            return
        is_beside = self.name != "iptables"
        try:
            self._iptables.apply(rules if self.name else (), is_beside=is_beside)
        except EngineFailure as error:
            if not is_beside:
                raise
            sys.stderr.write(f"networks are not accepted by iptables too: {error.message}\n")


def choose_firewall(mark: str, find: Callable[[str], str | None] = shutil.which) -> Firewall:
    """Return the first that works here: nftables, then iptables, then none."""
    iptables = Iptables(mark, find)
    installed = iptables if iptables.is_installed else None
    nft_lack = _nft_refusal(mark)
    if not nft_lack:
        return Firewall(mark, "nftables", installed)
    iptables_lack = iptables.refusal() if installed else "iptables is not installed"
    if not iptables_lack:
        return Firewall(mark, "iptables", installed)
    return Firewall(mark, "", installed, f"{nft_lack}, and {iptables_lack}")


def nft_chains(rules: Sequence[Rule]) -> list[Chain]:
    """Return the whole of our table; empty without rules."""
    forward, post = [], []
    for rule in rules:
        inwards, outwards = entering(rule.bridge), leaving(rule.bridge)
        forward.append(inwards + outwards + (ACCEPT if rule.has_neighbours else DROP))
        if rule.is_internal:
            forward += [inwards + DROP, outwards + DROP]
        else:
            forward += [outwards + established() + ACCEPT, outwards + DROP]
        if rule.is_masqueraded and not rule.is_internal:
            elsewhere = leaving(rule.bridge, but=True)
            post += [from_subnet(s) + elsewhere + MASQUERADE for s in rule.subnets]
    if not rules:
        return []
    return [Chain("forward", FORWARD, forward), Chain("postrouting", POSTROUTING, post)]


def _nft_refusal(mark: str) -> str:
    """Return why the kernel does not take rules as ours, found out by giving it some."""
    table = f"dockerlab-{mark}-probe"
    try:
        replace_table(table, nft_chains([SAMPLE]))
        replace_table(table, [])
    except OSError as error:
        return f"nftables cannot be used ({error.strerror})"
    return ""
