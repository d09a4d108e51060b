"""Device rules of cgroup v2: a small BPF program that the kernel asks at each open and mknod.

v2 has no devices controller; the rules of the spec become a program here (`assemble`) and are
attached to the container's folder (`attach`). See "Device controller" in cgroup-v2.rst of the
kernel's documentation, and ``struct bpf_cgroup_dev_ctx`` in linux/bpf.h.
"""

import os

from dockerlab.kernel import ebpf
from dockerlab.runtime.cgroups.folder import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from dockerlab.oci.runtimespec import DeviceRule

__all__ = ["assemble", "attach"]

# linux/bpf.h: BPF_DEVCG_DEV_* and BPF_DEVCG_ACC_*.
_TYPES = {"b": 1, "c": 2, "u": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_ALL_ACCESS = 7
_TYPE_MASK = 0xFFFF
_ACCESS_SHIFT = 16

# Offsets in struct bpf_cgroup_dev_ctx: access and type together, major, minor.
_CTX_ACCESS_TYPE, _CTX_MAJOR, _CTX_MINOR = 0, 4, 8

# Registers: r0 is the verdict, r1 comes in with the context and is scratch afterwards.
_VERDICT, _SCRATCH, _TYPE, _WANTED, _MAJOR, _MINOR = 0, 1, 2, 3, 4, 5


def assemble(rules: "Sequence[DeviceRule]") -> bytes:
    """Return the program for some rules.

    Parameters
    ----------
    rules : sequence of DeviceRule
        In the order of the spec: the last one that matches decides, and without any the answer is
        no.

    Notes
    -----
    An allowing rule matches when it allows all of what is wanted at once (an open for reading and
    writing is one question); a denying rule matches when it denies any of it.
    """
    program = [_prologue()]
    for rule in reversed(rules):
        program.append(_block(rule))
        if not _conditions(rule):
            # It decides on everything, and the verifier refuses code that cannot be reached.
            return b"".join(program)
    return b"".join([*program, _answer(is_allowed=False)])


def attach(folder: str, rules: "Sequence[DeviceRule]") -> None:
    """Load the program for some rules and attach it to a cgroup folder.

    The kernel keeps the program as long as the folder exists; no descriptor stays open here.

    Raises
    ------
    CgroupError
        When the kernel has no BPF for cgroups or refuses; the rules are never silently left out.
    """
    opened: list[int] = []
    try:
        opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        opened.append(ebpf.load_device_program(assemble(rules)))
        ebpf.attach_device_program(*opened)
    except OSError as error:
        raise CgroupError(
            error.errno, f"cannot restrict devices: {error.strerror}", folder
        ) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _prologue() -> bytes:
    return b"".join(
        [
            ebpf.load_word(_TYPE, _SCRATCH, _CTX_ACCESS_TYPE),
            ebpf.and_imm(_TYPE, _TYPE_MASK),
            ebpf.load_word(_WANTED, _SCRATCH, _CTX_ACCESS_TYPE),
            ebpf.shift_right_imm(_WANTED, _ACCESS_SHIFT),
            ebpf.load_word(_MAJOR, _SCRATCH, _CTX_MAJOR),
            ebpf.load_word(_MINOR, _SCRATCH, _CTX_MINOR),
        ]
    )


def _block(rule: "DeviceRule") -> bytes:
    """Return the instructions of one rule: mismatches jump to what follows the block."""
    # Jumps count instructions from the one behind them, so the block is built from its end.
    block = _answer(is_allowed=rule["allow"])
    for jump, preparation in reversed(_conditions(rule)):
        block = preparation + jump(len(block) // 8) + block
    return block


def _conditions(rule: "DeviceRule") -> "list[tuple[_Jump, bytes]]":
    conditions: list[tuple[_Jump, bytes]] = []
    kind = rule.get("type", "a")
    if kind != "a":
        conditions.append((_unless_equal(_TYPE, _TYPES[kind]), b""))
    for register, number in ((_MAJOR, rule.get("major", -1)), (_MINOR, rule.get("minor", -1))):
        if number >= 0:
            conditions.append((_unless_equal(register, number), b""))
    access = sum(_ACCESS[letter] for letter in set(rule.get("access", "rwm")))
    if access != _ALL_ACCESS:
        masked = ebpf.move_reg(_SCRATCH, _WANTED) + ebpf.and_imm(_SCRATCH, access)
        conditions.append((_not_all_wanted if rule["allow"] else _none_wanted, masked))
    return conditions


def _unless_equal(register: int, number: int) -> "_Jump":
    return lambda skip: ebpf.if_not_equal_imm(register, number, skip)


def _not_all_wanted(skip: int) -> bytes:
    return ebpf.if_not_equal_reg(_SCRATCH, _WANTED, skip)


def _none_wanted(skip: int) -> bytes:
    return ebpf.if_equal_imm(_SCRATCH, 0, skip)


def _answer(*, is_allowed: bool) -> bytes:
    return ebpf.move_imm(_VERDICT, int(is_allowed)) + ebpf.exit_program()


if TYPE_CHECKING:
    from collections.abc import Callable

    _Jump = Callable[[int], bytes]
