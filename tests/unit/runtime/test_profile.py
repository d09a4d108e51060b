import json
import os
from typing import Any

import pytest

from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.oci.runtimespec import Seccomp
from dockerlab.runtime import profile
from dockerlab.runtime.defaults import DEFAULT_CAPABILITIES, default_seccomp


def expand(rule: dict[str, Any], *capabilities: str, **uname: str) -> list[str]:
    text = json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]})
    machine, kernel = uname.get("machine", "x86_64"), uname.get("kernel", "6.1")
    expanded = profile.expand(
        profile.parse_profile(text), capabilities, machine=machine, kernel=kernel
    )
    return [name for each in expanded["syscalls"] for name in each["names"]]


def actions(seccomp: Seccomp, name: str) -> list[str]:
    return [rule["action"] for rule in seccomp["syscalls"] if name in rule["names"]]


RULE = {"names": ["bpf"], "action": "SCMP_ACT_ALLOW"}


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({}, True),
        ({"includes": {"caps": ["CAP_BPF"]}}, True),
        ({"includes": {"caps": ["CAP_BPF", "CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.2"}}, False),
        ({"includes": {"minKernel": "10.0"}}, False),
        ({"excludes": {"minKernel": "6.1"}}, False),
        ({"excludes": {"minKernel": "6.2"}, "includes": None}, True),
    ],
)
def test_a_rule_holds_under_its_conditions(conditions: dict[str, Any], *, holds: bool) -> None:
    assert expand({**RULE, **conditions}, "CAP_BPF") == (["bpf"] if holds else [])


def test_an_old_profile_has_a_single_name() -> None:
    assert expand({"name": "bpf", "action": "SCMP_ACT_ALLOW", "args": None}) == ["bpf"]


def test_conditions_do_not_reach_the_spec() -> None:
    rules = default_seccomp(DEFAULT_CAPABILITIES)["syscalls"]
    assert {key for rule in rules for key in rule} == {"names", "action", "errnoRet", "args"}


@pytest.mark.parametrize(
    ("machine", "architectures"),
    [
        ("x86_64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
        ("aarch64", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
    ],
)
def test_a_machine_runs_its_own_and_older_programs(machine: str, architectures: list[str]) -> None:
    expanded = profile.expand(profile.default_profile(), [], machine=machine)
    assert expanded["architectures"] == architectures


def test_a_listed_architecture_needs_no_map() -> None:
    text = '{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"]}'
    assert profile.expand(profile.parse_profile(text), [])["architectures"] == ["SCMP_ARCH_X86"]


def test_a_machine_without_a_table_is_refused() -> None:
    with pytest.raises(Unsupported, match='machine "sparc"'):
        profile.expand(profile.default_profile(), [], machine="sparc")


def test_list_and_map_of_architectures_exclude_each_other() -> None:
    given = profile.default_profile()
    given["architectures"] = ["SCMP_ARCH_X86_64"]
    with pytest.raises(InvalidArgument, match="both 'architectures' and 'archMap'"):
        profile.expand(given, [], machine=os.uname().machine)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"defaultAction": "A", "syscalls": [{"names": ["read"]}]}', "[" * 100_000],
)
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        profile.parse_profile(text)


def test_the_default_refuses_what_is_not_named() -> None:
    seccomp = default_seccomp(DEFAULT_CAPABILITIES)
    assert seccomp["defaultAction"] == "SCMP_ACT_ERRNO"
    assert seccomp.get("defaultErrnoRet") == 1
    for name in (
        "io_uring_setup",
        "io_uring_enter",
        "keyctl",
        "mount",
        "kexec_load",
        "userfaultfd",
    ):
        assert actions(seccomp, name) == []


def test_namespaces_are_for_administrators() -> None:
    usual = default_seccomp(DEFAULT_CAPABILITIES)
    assert actions(usual, "unshare") == []
    assert actions(usual, "clone3") == ["SCMP_ACT_ERRNO"]
    admin = default_seccomp([*DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN"])
    assert actions(admin, "unshare") == actions(admin, "clone3") == ["SCMP_ACT_ALLOW"]
