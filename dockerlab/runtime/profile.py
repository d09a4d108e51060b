"""A seccomp profile in Docker's form, made into the filter of one container.

Docker's form (``--security-opt seccomp=FILE``, and our `profile.json`) is the one of the OCI spec
with conditions: some rules hold only with a capability, on an architecture, from a kernel on. What
comes out has none, and any OCI runtime takes it. To make a program of it is `runtime.seccomp`'s.

See https://docs.docker.com/engine/security/seccomp/ and config-linux.md#seccomp.
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.oci.runtimespec import Seccomp, SyscallArg, SyscallRule

__all__ = ["Conditions", "Profile", "ProfileRule", "default_profile", "expand", "parse_profile"]

# Docker's name of a machine, and the spec's, by what uname(2) says.
_MACHINES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}


class Conditions(TypedDict, total=False):
    """When a rule holds (``includes``) or does not (``excludes``)."""

    caps: list[str]
    arches: list[str]
    minKernel: str


class ProfileRule(TypedDict):
    """A rule with its conditions; old profiles have one ``name`` and no ``names``."""

    action: str
    names: NotRequired[list[str]]
    name: NotRequired[str]
    errnoRet: NotRequired[int]
    args: NotRequired[list[SyscallArg] | None]
    includes: NotRequired[Conditions]
    excludes: NotRequired[Conditions]


class SubArchitectures(TypedDict):
    """The architectures whose programs run on a machine, beside its own."""

    architecture: str
    subArchitectures: list[str] | None


class Profile(TypedDict):
    """The whole file."""

    defaultAction: str
    defaultErrnoRet: NotRequired[int]
    archMap: NotRequired[list[SubArchitectures]]
    architectures: NotRequired[list[str]]
    syscalls: list[ProfileRule]


def default_profile() -> Profile:
    """Read Docker's default profile."""
    return parse_profile(Path(__file__).with_name("profile.json").read_text(encoding="utf-8"))


def parse_profile(text: str) -> Profile:
    """Read a profile from JSON.

    Raises
    ------
    InvalidArgument
        When the text is not JSON, or is not a profile.
    """
    try:
        profile = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"cannot read the seccomp profile: {error}") from error
    if not (isinstance(profile, dict) and isinstance(profile.get("defaultAction"), str)):
        raise InvalidArgument('the seccomp profile has no "defaultAction"')
    rules = profile.setdefault("syscalls", [])
    if not (isinstance(rules, list) and all(_is_rule(rule) for rule in rules)):
        raise InvalidArgument('every rule of a seccomp profile needs "names" and "action"')
    checked: Profile = profile  # type: ignore[assignment]
    return checked


def expand(
    profile: Profile, bounding: Sequence[str], *, machine: str = "", kernel: str = ""
) -> Seccomp:
    """Decide the conditions of a profile.

    Parameters
    ----------
    profile : Profile
        As read from the file.
    bounding : sequence of str
        The capabilities of the container.
    machine, kernel : str
        As in uname(2): ``x86_64``, ``6.18.4-generic``; those of this host by default.

    Raises
    ------
    InvalidArgument
        When both ``architectures`` and ``archMap`` are given, as in Docker.
    Unsupported
        On a machine whose filters cannot be compiled.
    """
    machine = machine or os.uname().machine
    if machine not in _MACHINES:
        raise Unsupported(
            f'there is no system call filter for the machine "{machine}"',
            "x86_64 and aarch64 have one; elsewhere ask for seccomp=unconfined",
        )
    architecture = _MACHINES[machine][0]
    version = _version(kernel or os.uname().release)
    rules = [
        _without_conditions(rule)
        for rule in profile["syscalls"]
        if _holds(rule, bounding, architecture, version)
    ]
    expanded: Seccomp = {
        "defaultAction": profile["defaultAction"],
        "architectures": _architectures(profile, _MACHINES[machine][1]),
        "syscalls": rules,
    }
    if "defaultErrnoRet" in profile:
        expanded["defaultErrnoRet"] = profile["defaultErrnoRet"]
    return expanded


def _is_rule(rule: object) -> bool:
    if not (isinstance(rule, dict) and isinstance(rule.get("action"), str)):
        return False
    names = rule.get("names") or [rule.get("name")]
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _architectures(profile: Profile, native: str) -> list[str]:
    listed, mapped = profile.get("architectures"), profile.get("archMap")
    if listed and mapped:
        raise InvalidArgument(
            "both 'architectures' and 'archMap' are specified in the seccomp profile,"
            " use either 'architectures' or 'archMap'"
        )
    if listed:
        return listed
    for entry in mapped or []:
        if entry["architecture"] == native:
            return [native, *(entry["subArchitectures"] or [])]
    return [native]


def _holds(
    rule: ProfileRule, bounding: Sequence[str], architecture: str, version: tuple[int, int]
) -> bool:
    excludes, includes = rule.get("excludes") or {}, rule.get("includes") or {}
    if architecture in excludes.get("arches", []):
        return False
    if any(name in bounding for name in excludes.get("caps", [])):
        return False
    if "minKernel" in excludes and version >= _version(excludes["minKernel"]):
        return False
    if includes.get("arches") and architecture not in includes["arches"]:
        return False
    if not all(name in bounding for name in includes.get("caps", [])):
        return False
    return not ("minKernel" in includes and version < _version(includes["minKernel"]))


def _without_conditions(rule: ProfileRule) -> SyscallRule:
    names = rule.get("names") or [rule["name"]]
    kept: SyscallRule = {"names": names, "action": rule["action"]}
    if "errnoRet" in rule:
        kept["errnoRet"] = rule["errnoRet"]
    if arguments := rule.get("args"):
        kept["args"] = arguments
    return kept


def _version(release: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)
