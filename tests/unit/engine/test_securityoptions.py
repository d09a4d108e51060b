"""A client's security options, and its seccomp profile: hostile until checked."""

import json
import os
from typing import Any

import pytest

from dockerlab.engine.securityoptions import read_profile, security_options
from dockerlab.errors import InvalidArgument
from dockerlab.runtime import profile as profiles
from dockerlab.runtime.seccomp import compile_filter


def text(**changes: Any) -> str:
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], **changes})


def test_the_options_are_read_in_either_way_of_writing_them() -> None:
    for option in ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"):
        assert security_options((option,)).no_new_privileges
    assert not security_options(("no-new-privileges=false",)).no_new_privileges
    assert not security_options(("seccomp:unconfined",)).has_seccomp
    assert security_options(("seccomp=builtin",)).profile is None


def test_labels_and_profiles_pass_where_the_host_has_none() -> None:
    options = security_options(("label=disable", "apparmor=unconfined"))
    assert options == security_options(())


@pytest.mark.parametrize("option", ["nonsense", "systempaths=unconfined", "no-new-privileges=x"])
def test_an_unknown_option_is_refused(option: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid --security-opt 2"):
        security_options((option,))


def test_a_profile_becomes_a_filter() -> None:
    options = security_options((f"seccomp={text()}",))

    assert options.profile is not None
    expanded = profiles.expand(options.profile, ())
    assert expanded["syscalls"][0]["errnoRet"] == 1
    assert compile_filter(expanded, os.uname().machine)


def test_dockers_own_profile_is_taken_and_means_the_same() -> None:
    own = profiles.default_profile()
    read = read_profile(json.dumps(own))

    bounding = ["CAP_SYS_ADMIN"]
    machine = os.uname().machine
    programs = [compile_filter(profiles.expand(each, bounding), machine) for each in (own, read)]
    assert programs[0] == programs[1]


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"defaultAction": ' + '{"x":' * 50_000,
        text(defaultAction="SCMP_ACT_NOTIFY"),
        text(defaultErrnoRet=-1),
        text(defaultErrnoRet=1 << 70),
        text(architectures="all"),
        text(archMap=[{"subArchitectures": []}]),
        text(syscalls=[{"names": ["x"], "action": "nonsense"}]),
        text(syscalls=[{"action": "SCMP_ACT_ALLOW"}]),
        text(syscalls=[{"names": [1], "action": "SCMP_ACT_ALLOW"}]),
        text(syscalls=[{"names": ["x" * 100], "action": "SCMP_ACT_ALLOW"}]),
        text(syscalls=[{"names": ["x"], "action": "SCMP_ACT_ALLOW", "includes": []}]),
        text(
            syscalls=[
                {
                    "names": ["x"],
                    "action": "SCMP_ACT_LOG",
                    "args": [{"index": 6, "op": "SCMP_CMP_EQ"}],
                }
            ]
        ),
        text(
            syscalls=[
                {
                    "names": ["x"],
                    "action": "SCMP_ACT_LOG",
                    "args": [{"index": 1, "op": "SCMP_CMP_EQ", "value": 1 << 64}],
                }
            ]
        ),
        text(syscalls=[{"names": ["x"], "action": "SCMP_ACT_ALLOW"}] * 5000),
        text(
            syscalls=[
                {
                    "names": ["mkdir"] * 2000,
                    "action": "SCMP_ACT_LOG",
                    "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": n} for n in range(2000)],
                }
            ]
        ),
        text(syscalls=[], padding="x" * (1 << 20)),
        "\ud800",
    ],
    ids=lambda hostile: hostile[:40],
)
def test_what_is_no_profile_is_refused(hostile: str) -> None:
    with pytest.raises(InvalidArgument, match="seccomp profile"):
        read_profile(hostile)
