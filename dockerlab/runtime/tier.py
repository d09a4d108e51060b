"""Which tier this host allows, from what its probes found: a pure choice.

The table of tiers is `TIERS`, best first. What a host can is asked in `runtime.probes`; this file
only says what each tier needs, and why a better one is not to be had.
"""

from collections.abc import Mapping
from typing import NamedTuple

from dockerlab.runtime.probes.asking import Ability, Finding, Host, Probe, ask
from dockerlab.runtime.probes.registry import PROBES, Asked, writing
from dockerlab.runtime.usernamespace import ONE_ID, ROOTLESS

__all__ = [
    "LOOK_ONLY",
    "ONE_ID",
    "PLAIN",
    "PTRACE",
    "REMOTE",
    "ROOTFUL",
    "ROOTLESS",
    "TIERS",
    "Tier",
    "TierKind",
    "choose",
    "choose_tier",
]


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


ROOTFUL = "rootful"
PTRACE = "ptrace"
REMOTE = "remote"
LOOK_ONLY = "look only"

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
    TierKind(ROOTFUL, ("sys_admin", *_NAMESPACES, "overlay"), "everything"),
    TierKind(
        ROOTLESS,
        ("single_id", "sub_ids", *_NAMESPACES, "overlay_user"),
        "everything but what the kernel keeps from users",
    ),
    TierKind(
        ONE_ID,
        ("single_id", *_NAMESPACES, "overlay_user"),
        "the same with a single uid: owners of files are recorded, not applied",
    ),
    TierKind(
        PTRACE,
        ("ptrace", "proot"),
        "images and runs under PRoot: no isolation, no limits, the host's network",
    ),
    TierKind(REMOTE, ("other_engine",), "what the engine behind that socket gives"),
    TierKind(LOOK_ONLY, (), "pulls, layers and tables; runs are refused with the reason"),
)

_ROOTFUL_REASON = "root may make namespaces and mounts"

# The tiers of our own engine in which there is no namespace: all files are the user's.
PLAIN = (PTRACE, LOOK_ONLY)

# All that "rootful" needs, in an order in which one process can do it: what looks at /proc comes
# before what mounts on it, a filter comes last, and `proc` makes a pid namespace too.
_AT_ONCE = (
    "sys_admin",
    "uts_namespace",
    "ipc_namespace",
    "network_namespace",
    "overlay",
    "mount_namespace",
    "mount_calls",
    "proc",
    "seccomp",
)

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
            return Tier(kind.name, "; ".join(reasons) or _ROOTFUL_REASON)
        reason = f"{_TITLES[lacking]}: {abilities[lacking].reason}"
        if reason not in reasons:
            reasons.append(reason)
    raise LookupError("the last tier needs nothing")


def choose_tier(host: Host) -> Tier:
    """Choose for an engine that starts: quickly.

    Root in Colab or in Docker's default container has no CAP_SYS_ADMIN, so being root proves
    nothing. One child does all that "rootful" needs; only when it fails are the probes asked one by
    one, and no more of them than decide. It forks: only for a process without other threads.
    """
    with writing(host) as prepared:
        if ask(Probe("at_once", "", _at_once), prepared).ok:
            return Tier(ROOTFUL, _ROOTFUL_REASON)
        tier = choose(Asked(prepared))
    # What another engine gives, that engine gives: our own only looks.
    return Tier(LOOK_ONLY, tier.reason) if tier.name == REMOTE else tier


def _at_once(host: Host) -> Finding:
    acts = {probe.name: probe.act for probe in PROBES}
    for name in _AT_ONCE:
        acts[name](host)
    return Finding("")
