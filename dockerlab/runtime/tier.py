"""Which tier this host allows, from what its probes found: a pure choice.

The table of tiers is `TIERS`, best first. What a host can is asked in `runtime.probes`; this file
only says what each tier needs, and why a better one is not to be had.
"""

from collections.abc import Mapping
from typing import NamedTuple

from dockerlab.runtime.probes.asking import Ability, Host
from dockerlab.runtime.probes.registry import PROBES, Asked, writing

__all__ = ["BUILT", "TIERS", "Tier", "TierKind", "choose", "choose_tier"]


class TierKind(NamedTuple):
    """A row of the table.

    Parameters
    ----------
    name : str
        As it is shown and as data roots are stamped.
    needs : tuple of str
        Names of the probes that have to say yes.
    gives : str
        A phrase.
    """

    name: str
    needs: tuple[str, ...]
    gives: str


class Tier(NamedTuple):
    """The tier of this host and the reason for it, a sentence without its full stop."""

    name: str
    reason: str


_NAMESPACES = (
    "mount_namespace",
    "pid_namespace",
    "network_namespace",
    "uts_namespace",
    "ipc_namespace",
    "proc",
    "mount_calls",
    "seccomp",
)

TIERS = (
    TierKind("rootful", ("sys_admin", *_NAMESPACES, "overlay"), "everything"),
    TierKind(
        "rootless",
        ("single_id", "sub_ids", *_NAMESPACES, "overlay_user"),
        "everything but what the kernel keeps from users",
    ),
    TierKind(
        "rootless, one id",
        ("single_id", *_NAMESPACES, "overlay_user"),
        "the same with a single uid: owners of files are recorded, not applied",
    ),
    TierKind(
        "ptrace",
        ("ptrace", "proot"),
        "images and runs under PRoot: no isolation, no limits, the host's network",
    ),
    TierKind("remote", ("other_engine",), "what the engine behind that socket gives"),
    TierKind("look only", (), "pulls, layers and tables; runs are refused with the reason"),
)

# The tiers that this version's own engine runs containers in.
BUILT = ("rootful",)

_TITLES = {probe.name: probe.title for probe in PROBES}


def choose(abilities: Mapping[str, Ability]) -> Tier:
    """Return the best tier whose needs are all met.

    Parameters
    ----------
    abilities : mapping
        By name. Looked up in order and no further than needed, so it may ask as it goes.
    """
    reasons: list[str] = []
    for kind in TIERS:
        lacking = next((name for name in kind.needs if not abilities[name].ok), "")
        if not lacking:
            return Tier(kind.name, "; ".join(reasons) or "root may make namespaces and mounts")
        reason = f"no {_TITLES[lacking]}: {abilities[lacking].reason}"
        if reason not in reasons:
            reasons.append(reason)
    raise LookupError("the last tier needs nothing")


def choose_tier(host: Host) -> Tier:
    """Ask only the probes that decide, as an engine's start has to be quick.

    Root in Colab or in Docker's default container has no CAP_SYS_ADMIN, so being root proves
    nothing. It forks: only for a process without other threads.
    """
    with writing(host) as prepared:
        tier = choose(Asked(prepared))
    if tier.name in BUILT:
        return tier
    return Tier(tier.name, f"{tier.reason}; containers in this tier come later")
