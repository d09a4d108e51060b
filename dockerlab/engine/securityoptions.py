"""The texts of ``--security-opt`` as a record, and a client's seccomp profile checked.

The profile is the client's own text, up to a megabyte of it: nothing is taken from it before its
form, its size and every number in it are checked (`read_profile`).
"""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.runtime.profile import Profile

__all__ = ["SecurityOptions", "read_profile", "security_options"]

_LONGEST_PROFILE = 1 << 20
# BPF_MAXINSNS of linux/bpf_common.h; each condition costs at least one.
_MOST_INSTRUCTIONS = 4096
_MOST_WORK = 1 << 16

_UNCONFINED = "unconfined"
_BUILT_IN = ("", "builtin", "default")
_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
_SELINUX = Path("/sys/fs/selinux/enforce")

_Name = Annotated[str, msgspec.Meta(max_length=64)]
_Action = Literal[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
]
_Comparison = Literal[
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
]
_Errno = Annotated[int, msgspec.Meta(ge=0, le=4095)]


class SecurityOptions(NamedTuple):
    """What the options say; `profile` is None for the built-in one."""

    has_seccomp: bool
    profile: Profile | None
    no_new_privileges: bool


class _Argument(msgspec.Struct):
    index: Annotated[int, msgspec.Meta(ge=0, le=5)]
    op: _Comparison
    value: int = 0
    valueTwo: int = 0  # noqa: N815 - the file's own word


class _Conditions(msgspec.Struct, omit_defaults=True):
    caps: list[_Name] = []
    arches: list[_Name] = []
    minKernel: _Name = ""  # noqa: N815


class _Rule(msgspec.Struct, omit_defaults=True):
    action: _Action
    names: list[_Name] | None = None
    name: _Name | None = None
    errnoRet: _Errno | None = None  # noqa: N815
    args: list[_Argument] | None = None
    includes: _Conditions | None = None
    excludes: _Conditions | None = None


class _SubArchitectures(msgspec.Struct):
    architecture: _Name
    subArchitectures: list[_Name] | None = None  # noqa: N815


class _Profile(msgspec.Struct, omit_defaults=True):
    defaultAction: _Action  # noqa: N815
    defaultErrnoRet: _Errno | None = None  # noqa: N815
    archMap: list[_SubArchitectures] | None = None  # noqa: N815
    architectures: list[_Name] | None = None
    syscalls: list[_Rule] | None = None


def security_options(options: tuple[str, ...]) -> SecurityOptions:
    """Read the options in their order; the last word on a matter wins, as in dockerd.

    Labels and AppArmor profiles are accepted on a host that has neither SELinux nor AppArmor, where
    dockerd passes over them too.

    Raises
    ------
    InvalidArgument
        An unknown option, or a seccomp profile that is not one.
    Unsupported
        A label or profile on a host that would apply it.
    """
    has_seccomp, profile, no_new_privileges = True, None, False
    for option in options:
        separator = "=" if "=" in option else ":"
        key, _, value = option.partition(separator)
        if key == "no-new-privileges":
            no_new_privileges = _is_true(option, value)
        elif key == "seccomp":
            has_seccomp = value != _UNCONFINED
            is_own = has_seccomp and value not in _BUILT_IN
            profile = read_profile(value) if is_own else None
        elif key == "apparmor":
            _refuse_where(_APPARMOR, value not in (_UNCONFINED, "docker-default", ""), option)
        elif key == "label":
            _refuse_where(_SELINUX, value != "disable", option)
        else:
            raise InvalidArgument(f'invalid --security-opt 2: "{option[:100]}"')
    return SecurityOptions(has_seccomp, profile, no_new_privileges)


def read_profile(text: str) -> Profile:
    """Check a client's seccomp profile.

    Raises
    ------
    InvalidArgument
        It is too large, not JSON, or not a profile; the message says where.
    """
    if len(text) > _LONGEST_PROFILE:
        raise InvalidArgument(f"the seccomp profile is larger than {_LONGEST_PROFILE} bytes")
    try:
        checked = msgspec.json.decode(text.encode(errors="surrogatepass"), type=_Profile)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise InvalidArgument(f"Decoding seccomp profile failed: {error}") from error
    rules = checked.syscalls or []
    # What compiling it takes: each name of a rule with each of its conditions, for each machine.
    work = sum(len(rule.names or ()) * (1 + len(rule.args or ())) for rule in rules)
    arguments = [argument for rule in rules for argument in rule.args or ()]
    if len(rules) > _MOST_INSTRUCTIONS or len(arguments) > _MOST_INSTRUCTIONS:
        raise InvalidArgument(
            f"the seccomp profile has more than {_MOST_INSTRUCTIONS} rules or conditions, which no"
            " filter of the kernel can hold"
        )
    if work > _MOST_WORK:
        raise InvalidArgument(f"the seccomp profile names more than {_MOST_WORK} conditions")
    for rule in rules:
        if not rule.names and not rule.name:
            raise InvalidArgument('every rule of a seccomp profile needs "names" and "action"')
    if any(not 0 <= word < 1 << 64 for each in arguments for word in (each.value, each.valueTwo)):
        raise InvalidArgument("the value of a condition in the seccomp profile has over 64 bits")
    profile: Profile = msgspec.to_builtins(checked)
    profile.setdefault("syscalls", [])
    return profile


def _is_true(option: str, value: str) -> bool:
    # strconv.ParseBool of Go, which dockerd reads it with.
    if value in ("", "1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise InvalidArgument(f'invalid --security-opt 2: "{option[:100]}"')


def _refuse_where(switch: Path, asks: bool, option: str) -> None:  # noqa: FBT001 - one caller
    if not asks:
        return
    try:
        is_on = switch.read_text(encoding="ascii").strip() in ("Y", "1", "0")
    except OSError:
        return
    if is_on:
        raise Unsupported(
            f'the security option "{option[:60]}" is not supported on this host: dockerlab applies'
            " no AppArmor or SELinux profiles",
            "leave the option out",
        )
