"""What this host can do, and why not more: `python -m dockerlab.doctor`, as text or JSON.

It needs no engine and nothing but the standard library, so it works where no engine can start. The
facts are `runtime.probes`', the choice is `runtime.tier`'s; here is the judgement: what would lift
each "no", and how all of it is shown. `dockerlab doctor` and `%doctor` start it as a process.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dockerlab.config import Settings, load_settings, other_engine, process_environment
from dockerlab.errors import DockerlabError
from dockerlab.runtime.features import Offer, offers
from dockerlab.runtime.probes.asking import Ability, Host
from dockerlab.runtime.probes.kernelfacts import KernelFacts, look
from dockerlab.runtime.probes.registry import NETWORK_PROBE, PROBES, examine
from dockerlab.runtime.tier import ONE_ID, ROOTFUL, ROOTLESS, TIERS, Tier, choose

__all__ = ["apparmor_profile", "main", "remedy", "report", "to_text"]

Json = dict[str, Any]

_DESCRIPTION = "Say what this host can do, why not more, and what would lift that."
_BY_ADMIN = "an administrator of this host"
_CONTAINER = "in a container: docker run --privileged"

# What would lift a "no", where the ability alone says it; `remedy` has the cases.
_REMEDIES = {
    "user_namespace": f"{_BY_ADMIN} allows them: sysctl user.max_user_namespaces=28633 and, on an"
    f" older Debian, kernel.unprivileged_userns_clone=1; {_CONTAINER}",
    "single_id": f"what user namespaces need; {_CONTAINER}",
    "proc": "in a container, one whose /proc is not masked (--security-opt"
    " systempaths=unconfined); elsewhere what a mount namespace needs",
    "mount_calls": f"Linux 5.12 or newer, and no filter that refuses them; {_CONTAINER}",
    "overlay_user": "Linux 5.11 or newer, and a data root (--root) on ext4, XFS, btrfs or tmpfs",
    "lower_folders": "Linux 6.5; until then an image has as many layers as fit in one page",
    "seccomp": "a kernel with CONFIG_SECCOMP_FILTER; containers would run without a filter",
    "sealed_program": "sysctl vm.memfd_noexec=0, and a kernel with memfd_create; without it the"
    " interpreter of this host is only as safe as its file permissions",
    "shared_memory": "mount -t tmpfs tmpfs /dev/shm; containers have one of their own",
    "data_root": "a folder that this user may write to: --root DIR or DOCKERLAB_ROOT",
    "space": "%rmi what is not needed, or a larger disk: --root DIR or DOCKERLAB_ROOT",
    "user_attributes": "a data root on ext4, XFS, btrfs or tmpfs (Linux 6.6): --root DIR",
    "ptrace": "sysctl kernel.yama.ptrace_scope=1 or lower; in a container: --cap-add SYS_PTRACE",
    "other_engine": "only to use Docker or Podman instead: start it, then %engine docker",
    "docker_hub": "a network, or a mirror: --mirror URL; hello-world is built in",
}
_TITLES = {probe.name: probe.title for probe in (*PROBES, NETWORK_PROBE)}

# What a user who is not root does inside a user namespace. Of sub-ids the programs come first.
_INSIDE = {
    "single_id",
    "mount_namespace",
    "pid_namespace",
    "network_namespace",
    "uts_namespace",
    "ipc_namespace",
    "cgroup_namespace",
    "proc",
    "mount_calls",
    "overlay_user",
    "lower_folders",
}
_NAMESPACE_REMEDY = f"user namespaces, or root with CAP_SYS_ADMIN; {_CONTAINER}"


def report(abilities: Sequence[Ability], host: Host, tier: Tier, facts: KernelFacts) -> Json:
    """Return all that is known of a host, in a form for JSON.

    Parameters
    ----------
    abilities : sequence of Ability
        What `examine` gave.
    host : Host
        What was asked about.
    tier : Tier
        What `choose` gave.
    facts : KernelFacts
        What features need beside it.

    Returns
    -------
    dict
        ``tier`` (name, reason, gives), ``abilities`` (a list: ability, title, ok, reason,
        errno, remedy, facts), ``features`` (a list: feature, title, options, ok, reason, remedy),
        ``host``, and ``apparmor_profile`` with ``apparmor_commands``, which are '' and [] where
        AppArmor is not what is in the way.
    """
    by_name = {ability.name: ability for ability in abilities}
    is_restricted = bool(by_name["single_id"].facts.get("apparmor"))
    system = os.uname()
    return {
        "tier": {
            **tier._asdict(),
            "gives": next(kind.gives for kind in TIERS if kind.name == tier.name),
        },
        "abilities": [_row(ability, by_name, tier) for ability in abilities],
        "features": [_feature_row(offer) for offer in offers(tier, by_name, facts)],
        "host": {
            "kernel": system.release,
            "machine": system.machine,
            "uid": os.geteuid(),
            "python": os.path.realpath(host.python),
            "data_root": host.data_root,
        },
        "apparmor_profile": apparmor_profile(host.python) if is_restricted else "",
        "apparmor_commands": _apparmor_commands(host.python) if is_restricted else [],
    }


def _row(ability: Ability, by_name: Mapping[str, Ability], tier: Tier) -> Json:
    return {
        "ability": ability.name,
        "title": _TITLES[ability.name],
        "ok": ability.ok,
        "reason": ability.reason,
        "errno": ability.errno,
        "remedy": "" if ability.ok else remedy(ability.name, by_name, tier),
        "facts": ability.facts,
    }


def _feature_row(offer: Offer) -> Json:
    return {
        "feature": offer.feature.name,
        "title": offer.feature.title,
        "options": offer.feature.options,
        "ok": offer.ok,
        "reason": offer.reason,
        "remedy": offer.remedy,
    }


def remedy(name: str, by_name: Mapping[str, Ability], tier: Tier) -> str:
    """Return what would lift a "no"; one that the tier does without says so.

    Parameters
    ----------
    name : str
        Of an ability that is not there.
    by_name : mapping
        All abilities.
    tier : Tier
        The tier of the host.
    """
    facts = by_name[name].facts
    if name not in _still_wanted(tier):
        return f"not needed in the tier {tier.name}"
    if cause := _cause(name, by_name):
        return f'what lifts "{_TITLES[cause]}"'
    if facts.get("apparmor"):
        return (
            "load the AppArmor profile for this interpreter (dockerlab doctor --apparmor-profile)"
        )
    special = {
        "sys_admin": _sys_admin_remedy,
        "sub_ids": _sub_ids_remedy,
        "cgroups": _cgroups_remedy,
        "proot": _proot_remedy,
    }
    if name in special:
        return special[name](facts)
    if name in {"overlay", "trusted_attributes"}:
        if not by_name["sys_admin"].ok:
            return f'what lifts "{_TITLES["sys_admin"]}"'
        return "a data root (--root DIR) on ext4, XFS, btrfs or tmpfs"
    return _REMEDIES.get(name, _NAMESPACE_REMEDY)


def _cause(name: str, by_name: Mapping[str, Ability]) -> str:
    """Return the ability whose lack is behind that of `name`; '' when it stands for itself."""
    if by_name["sys_admin"].ok or name not in _INSIDE:
        return ""
    if not by_name["user_namespace"].ok:
        return "user_namespace"
    if name != "single_id" and not by_name["single_id"].ok:
        return "single_id"
    return ""


def _still_wanted(tier: Tier) -> set[str]:
    """Return the abilities that a better tier needs, or that are good to have in any."""
    names = [kind.name for kind in TIERS]
    better = TIERS[: names.index(tier.name) + 1]
    of_tiers = {name for kind in TIERS for name in kind.needs}
    wanted = {name for kind in better for name in kind.needs}
    always = {probe.name for probe in (*PROBES, NETWORK_PROBE)} - of_tiers
    if tier.name == TIERS[0].name:
        always -= {"user_namespace", "user_attributes"}
    elif tier.name in {ROOTLESS, ONE_ID}:
        always -= {"trusted_attributes"}
    return wanted | always


def _sys_admin_remedy(facts: Mapping[str, Any]) -> str:
    if facts.get("root"):
        return f"{_CONTAINER}, or --cap-add SYS_ADMIN --security-opt apparmor=unconfined"
    return "start the notebook as root, where that is wanted"


def _sub_ids_remedy(facts: Mapping[str, Any]) -> str:
    user = _user()
    match facts.get("lacks"):
        case "program":
            return "apt install uidmap (Fedora: shadow-utils)"
        case "range":
            return (
                f"{_BY_ADMIN} gives them: usermod --add-subuids 100000-165535"
                f" --add-subgids 100000-165535 {user}"
            )
    return "user namespaces, and newuidmap and newgidmap with their setuid bit or file capabilities"


def _cgroups_remedy(facts: Mapping[str, Any]) -> str:
    if facts.get("version") == 0:
        return "mount -t cgroup2 none /sys/fs/cgroup; without it a limit is refused"
    if os.geteuid() == 0:
        return "cgroups that can be written: mount -o remount,rw; without it a limit is refused"
    if facts.get("version") == 1:
        return "cgroup v2 with systemd's delegation; without it a limit is refused"
    return (
        "systemd's delegation: systemctl edit user@.service, then [Service] Delegate=cpu memory"
        " pids, or systemd-run --user --scope -p Delegate=yes; without it a limit is refused"
    )


def _proot_remedy(facts: Mapping[str, Any]) -> str:
    if facts.get("lacks") == "program":
        return "apt install proot"
    return f'what lifts "{_TITLES["ptrace"]}"'


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def apparmor_profile(python: str) -> str:
    """Return the AppArmor profile that gives an interpreter its user namespaces back.

    It takes nothing away and adds nothing but ``userns``, and it is for the file behind all links:
    a virtual environment's python is a link, and the kernel goes by the file. See apparmor.d(5) and
    Ubuntu's "Restricted unprivileged user namespaces".

    Parameters
    ----------
    python : str
        Path of the interpreter.
    """
    path = os.path.realpath(python)
    # What runs from the sealed copy keeps the profile: an unconfined one is left for a profile
    # that fits the new program only, and none fits a file in memory.
    quoted = "".join(f"\\{letter}" if letter in '*?[]{}^@"\\' else letter for letter in path)
    name = _profile_name(path)
    return (
        "abi <abi/4.0>,\n"
        "include <tunables/global>\n"
        "\n"
        f'profile {name} "{quoted}" flags=(unconfined) {{\n'
        "  userns,\n"
        "\n"
        f"  include if exists <local/{name}>\n"
        "}\n"
    )


def _profile_name(path: str) -> str:
    letters = (letter if letter.isalnum() or letter in "._-" else "." for letter in path.strip("/"))
    return f"dockerlab.{''.join(letters)}"


def _apparmor_commands(python: str) -> list[str]:
    file = f"/etc/apparmor.d/{_profile_name(os.path.realpath(python))}"
    return [
        f"dockerlab doctor --apparmor-profile | sudo tee {file}",
        f"sudo apparmor_parser --replace {file}",
    ]


def to_text(found: Json) -> str:
    """Return a report as a terminal shows it: the table, then the tier."""
    lines = _table((row["title"], row) for row in found["abilities"])
    lines += ["", "what containers can be given:", ""]
    lines += _table((f"{row['title']} ({row['options']})", row) for row in found["features"])
    tier = found["tier"]
    lines += [
        "",
        f"tier:   {tier['name']}",
        f"why:    {tier['reason']}",
        f"gives:  {tier['gives']}",
    ]
    if found["apparmor_profile"]:
        lines += [
            "",
            "AppArmor takes the privileges of user namespaces away. This profile gives them back",
            f"to {found['host']['python']}, and so to every program that it runs:",
            "",
            found["apparmor_profile"],
            "Load it with",
            *(f"  {command}" for command in found["apparmor_commands"]),
        ]
    return "\n".join(lines)


def _table(rows: Iterable[tuple[str, Json]]) -> list[str]:
    named = list(rows)
    width = max(len(title) for title, _ in named)
    lines = []
    for title, row in named:
        lines.append(f"{'✔' if row['ok'] else '✘'} {title:<{width}}  {row['reason']}")
        if row["remedy"]:
            lines.append(f"  {'':<{width}}  → {row['remedy']}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine this host and print what was found; return 0, or 1 after an error.

    Parameters
    ----------
    arguments : sequence of str, optional
        In place of those of this process.
    """
    parser = argparse.ArgumentParser(prog="dockerlab doctor", description=_DESCRIPTION)
    parser.add_argument("--root", metavar="DIR", help="data root (DOCKERLAB_ROOT)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--network", action="store_true", help="try to reach Docker Hub, too")
    parser.add_argument(
        "--apparmor-profile", action="store_true", help="print the profile for this interpreter"
    )
    options = parser.parse_args(arguments)
    if options.apparmor_profile:
        print(apparmor_profile(sys.executable), end="")
        return 0
    try:
        settings = load_settings(process_environment(), root=options.root)
        host = _this_host(settings)
    except DockerlabError as error:
        print(f"dockerlab: {error.message}", file=sys.stderr)
        return 1
    abilities = examine(host, network=options.network)
    by_name = {ability.name: ability for ability in abilities}
    tier = choose(by_name)
    facts = look(
        by_name,
        is_root=tier.name == ROOTFUL,
        cgroup_parent=settings.cgroup_parent,
        runtimes=settings.runtimes,
    )
    found = report(abilities, host, tier, facts)
    print(json.dumps(found, indent=2) if options.json else to_text(found))
    return 0


def _this_host(settings: Settings) -> Host:
    environ = process_environment()
    addresses = [other_engine(environ, name) for name in ("docker", "podman")]
    return Host(
        data_root=str(settings.data_root),
        python=sys.executable,
        path=environ.get("PATH", os.defpath),
        sockets=tuple(
            address.removeprefix("unix://") for address in addresses if address.startswith("unix:")
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
