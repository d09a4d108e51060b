"""What a container can be given in each tier: one row for each feature, with the remedy for a "no".

The table is `FEATURES`; what a row needs beside its tier is a word, and `offers` is the pure choice
over facts of this host. That each row says what the engine does is tried on engines of every tier
(`tests/integration/test_features.py`).
"""

from collections.abc import Mapping
from typing import NamedTuple

from dockerlab.runtime.probes.asking import Ability
from dockerlab.runtime.probes.kernelfacts import KernelFacts
from dockerlab.runtime.probes.registry import PROBES
from dockerlab.runtime.tier import ONE_ID, PTRACE, REMOTE, ROOTFUL, ROOTLESS, TIERS, Tier

__all__ = ["FEATURES", "Feature", "Offer", "offers"]

_MANY_IDS = (ROOTFUL, ROOTLESS)
_ISOLATING = (*_MANY_IDS, ONE_ID)
_RUNNING = (*_ISOLATING, PTRACE)


class Feature(NamedTuple):
    """A row of the table.

    Parameters
    ----------
    name : str
        For programs.
    title : str
        A phrase.
    options : str
        Docker's words for it.
    tiers : tuple of str
        Where it can be had.
    needs : str
        What it takes beside that, '' for nothing: ``limit NAME`` (of `runtime.cgroups.features`),
        ``cgroup``, ``shared`` (a cgroup where there is no root), ``freezer``, ``runtimes``,
        ``mac`` (no AppArmor and no SELinux), ``ulimits`` and ``raise`` (CAP_SYS_RESOURCE);
        ``rest`` is what a container that does not run can be given, too.
    """

    name: str
    title: str
    options: str
    tiers: tuple[str, ...] = _ISOLATING
    needs: str = ""


class Offer(NamedTuple):
    """Whether this host gives a feature; with how much, or why not and what would lift that."""

    feature: Feature
    ok: bool
    reason: str
    remedy: str


FEATURES = (
    Feature("lives", "lives of containers", "run, start, stop, kill, wait, rm, rename", _RUNNING),
    Feature("terminals", "terminals and attaching", "-it, attach, --detach-keys", _RUNNING),
    Feature("exec", "more programs in a container", "exec -u -w -e", _RUNNING),
    Feature("exec_privileged", "more programs with all privileges", "exec --privileged"),
    Feature("restarts", "restart policies", "--restart", _RUNNING),
    Feature("health", "health checks", "--health-cmd", _RUNNING),
    Feature("logs", "logs with rotation", "logs, --log-driver, --log-opt", _RUNNING),
    Feature("usage", "usage and processes", "stats, top", _RUNNING),
    Feature("user", "users other than root", "-u USER", (*_MANY_IDS, PTRACE)),
    Feature("groups", "more groups", "--group-add", _MANY_IDS),
    Feature("hostname", "a host name of its own", "-h NAME"),
    Feature("network_host", "the host's network", "--network host", _RUNNING),
    Feature("network_none", "no network", "--network none"),
    Feature("host_namespaces", "namespaces of the host", "--ipc host, --uts host", _RUNNING),
    Feature("joined", "namespaces of a container", "--ipc, --network container:NAME"),
    Feature("pid_host", "processes of the host", "--pid host", _RUNNING, "shared"),
    Feature("pid_joined", "processes of a container", "--pid container:NAME", needs="shared"),
    Feature("init", "a first process that reaps", "--init"),
    Feature("capabilities", "capabilities", "--cap-add, --cap-drop"),
    Feature("privileged", "all privileges of the engine", "--privileged"),
    Feature("seccomp", "a system call filter of one's own", "--security-opt seccomp=FILE"),
    Feature("privileges", "no new privileges", "--security-opt no-new-privileges", _RUNNING),
    Feature("profiles", "profiles and labels", "--security-opt apparmor=, label=", needs="mac"),
    Feature("read_only", "a read-only root", "--read-only"),
    Feature("tmpfs", "folders in memory", "--tmpfs, --mount type=tmpfs"),
    Feature("shm", "shared memory of a size", "--shm-size"),
    Feature("ulimits", "limits of the shell's kind", "--ulimit", needs="ulimits"),
    Feature("sysctls", "kernel parameters", "--sysctl"),
    Feature("devices", "devices of the host", "--device"),
    Feature("device_rules", "rules for devices", "--device-cgroup-rule", (ROOTFUL,), "cgroup"),
    Feature("binds", "folders of the host", "-v DIR:PATH, --mount type=bind", _RUNNING),
    Feature("read_only_binds", "the same, read-only", "-v DIR:PATH:ro"),
    Feature("volumes", "volumes", "-v NAME:PATH, volume create"),
    Feature("copies", "copies and changes", "cp, diff, export", needs="rest"),
    Feature("pause", "pauses", "pause, unpause", needs="freezer"),
    Feature("memory", "a limit of memory", "-m", needs="limit memory"),
    Feature("swap", "a limit of swap", "--memory-swap", needs="limit swap"),
    Feature(
        "reservation", "a soft limit of memory", "--memory-reservation", needs="limit reservation"
    ),
    Feature("swappiness", "willingness to swap", "--memory-swappiness", needs="limit swappiness"),
    Feature("oom_kill", "no OOM killer", "--oom-kill-disable", needs="limit oom-kill-disable"),
    Feature("oom_score", "protection from the OOM killer", "--oom-score-adj -500", needs="raise"),
    Feature("cpu_quota", "a share of processors", "--cpus", needs="limit cpu-quota"),
    Feature("cpu_shares", "weight for processors", "--cpu-shares", needs="limit cpu-shares"),
    Feature("cpuset", "chosen processors", "--cpuset-cpus", needs="limit cpuset"),
    Feature("pids", "a limit of processes", "--pids-limit", needs="limit pids"),
    Feature("blkio", "limits of disks", "--device-read-bps, --blkio-weight", needs="limit blkio"),
    Feature("runtimes", "other runtimes", "--runtime runc | crun", (ROOTFUL,), "runtimes"),
)

_TITLES = {probe.name: probe.title for probe in PROBES}
_NO_ROOT = "have root hand you a cgroup (chown -R) and name it as cgroup_parent in config.toml"
_OF_V1 = ("swappiness", "oom-kill-disable")


def offers(tier: Tier, abilities: Mapping[str, Ability], facts: KernelFacts) -> list[Offer]:
    """Return every feature with what this host has to say to it.

    Parameters
    ----------
    tier : Tier
        Of the host.
    abilities : mapping
        What was found, by name.
    facts : KernelFacts
        What else was.
    """
    return [_offer(feature, tier, abilities, facts) for feature in FEATURES]


def _offer(
    feature: Feature, tier: Tier, abilities: Mapping[str, Ability], facts: KernelFacts
) -> Offer:
    if tier.name not in feature.tiers:
        reason = f"not in the tier {tier.name}"
        return Offer(feature, ok=False, reason=reason, remedy=_lift(feature, tier, abilities))
    if tier.name == PTRACE:
        return Offer(feature, ok=True, reason="works, under PRoot", remedy="")
    reason, remedy = _lack(feature, tier, facts)
    if reason:
        return Offer(feature, ok=False, reason=reason, remedy=remedy)
    return Offer(feature, ok=True, reason=_praise(feature, facts), remedy="")


def _lift(feature: Feature, tier: Tier, abilities: Mapping[str, Ability]) -> str:
    """Return what lifts this host into the nearest better tier that has the feature."""
    if tier.name == REMOTE:
        return "%engine docker: the engine behind that socket decides"
    better = TIERS[: [kind.name for kind in TIERS].index(tier.name)]
    kind = [kind for kind in better if kind.name in feature.tiers][-1]
    lacking = next(name for name in kind.needs if not abilities[name].ok)
    return f'what lifts "{_TITLES[lacking]}"'


def _lack(feature: Feature, tier: Tier, facts: KernelFacts) -> tuple[str, str]:
    """Return what a feature needs that is not there, and the remedy; '' twice for nothing."""
    need, _, limit = feature.needs.partition(" ")
    needs_cgroup = need in {"cgroup", "limit", "freezer"} or (
        need == "shared" and tier.name != ROOTFUL
    )
    if limit and limit not in facts.limits:
        return _no_limit(limit, facts)
    if facts.no_cgroup and tier.name == ROOTFUL and need != "rest":
        return (
            f"a container of root's is kept from devices by a cgroup: {facts.no_cgroup}",
            f'what lifts "{_TITLES["cgroups"]}"',
        )
    if facts.no_cgroup and needs_cgroup:
        return facts.no_cgroup, _NO_ROOT
    if need == "freezer" and not facts.has_freezer:
        return "no freezer can be written to", "mount the hierarchy freezer, or cgroup v2"
    if need == "runtimes" and not facts.runtimes:
        return "neither runc nor crun is on this host", "apt install crun"
    if need == "mac" and facts.has_profiles:
        return "dockerlab applies none, and this host would", "leave the option out"
    if need == "raise" and not facts.can_raise:
        return (
            "a value below the engine's own needs CAP_SYS_RESOURCE",
            "leave it out, or ask for a value above 0",
        )
    return "", ""


def _no_limit(limit: str, facts: KernelFacts) -> tuple[str, str]:
    if limit in _OF_V1 and facts.cgroup_version != 1:
        return "cgroup v1 alone has it", "leave it out"
    if limit == "swap" and "memory" in facts.limits:
        return "this kernel does not count swap", "boot with swapaccount=1"
    return (
        "this host has no cgroup controller for it",
        "an administrator enables or mounts the controller",
    )


def _praise(feature: Feature, facts: KernelFacts) -> str:
    match feature.needs.partition(" ")[0]:
        case "limit" | "freezer":
            return f"works, by cgroup v{facts.cgroup_version}"
        case "runtimes":
            return f"works: {', '.join(facts.runtimes)}"
        case "mac":
            return "taken without effect: this host has neither AppArmor nor SELinux"
        case "ulimits" if not facts.can_raise and facts.most_files:
            return f"works up to the host's hard limits (open files: {facts.most_files:,})"
    return "works"
