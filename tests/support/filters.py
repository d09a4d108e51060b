"""What a classic BPF filter answers: an interpreter, libseccomp's compiler, and the kernel itself.

For the tests of `runtime.seccomp` and `kernel.bpf`: the first runs a program over made-up calls,
the second is the oracle for what the program should say, the third installs it in a forked child.
"""

import ctypes
import ctypes.util
import os
import struct
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from dockerlab.oci.runtimespec import Seccomp, SyscallRule

__all__ = ["ALLOW", "LibSeccomp", "errno_verdict", "evaluate", "in_child"]

ALLOW = 0x7FFF0000
_ERRNO = 0x00050000

_LIBSECCOMP_ARCHITECTURES = {
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_X32": 0x4000003E,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_ARM": 0x40000028,
}
_LIBSECCOMP_COMPARISONS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}


def errno_verdict(number: int) -> int:
    """Return the verdict that makes a call fail with an errno."""
    return _ERRNO | number


def evaluate(program: bytes, number: int, audit: int, arguments: Sequence[int] = ()) -> int:
    """Run a program over one call as the kernel would, with the checks of its verifier."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    instructions = list(struct.iter_unpack("=HBBI", program))
    place = accumulator = 0
    while True:
        code, if_true, if_false, constant = instructions[place]
        place += 1
        if code == 0x06:
            return int(constant)
        if code == 0x20:
            accumulator = int.from_bytes(data[constant : constant + 4], "little")
        elif code == 0x54:
            accumulator &= constant
        elif code == 0x05:
            place += constant
        else:
            place += if_true if _compare(code, accumulator, constant) else if_false


def _compare(code: int, accumulator: int, constant: int) -> bool:
    if code == 0x15:
        return accumulator == constant
    if code == 0x25:
        return accumulator > constant
    if code == 0x35:
        return accumulator >= constant
    if code == 0x45:
        return bool(accumulator & constant)
    raise AssertionError(f"the instruction {code:#x} is not one of a seccomp program")


class LibSeccomp:
    """The compiler of libseccomp, used as runc uses it."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(ctypes.util.find_library("seccomp"))
        self._library.seccomp_init.restype = ctypes.c_void_p

    @staticmethod
    def is_installed() -> bool:
        """Tell whether there is a libseccomp to ask."""
        return ctypes.util.find_library("seccomp") is not None

    def compile(self, seccomp: Seccomp) -> bytes:
        """Return libseccomp's program for a filter."""
        default = self._action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet", 1))
        context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))
        try:
            for each in seccomp["architectures"][1:]:
                self._library.seccomp_arch_add(context, _LIBSECCOMP_ARCHITECTURES[each])
            for rule in seccomp["syscalls"]:
                self._add(context, rule, default)
            return self._export(context)
        finally:
            self._library.seccomp_release(context)

    def knows(self, name: str, architecture: str = "SCMP_ARCH_X86_64") -> bool:
        """Tell whether this libseccomp is new enough for a system call.

        It gives calls that an architecture has not numbers below zero.
        """
        token = _LIBSECCOMP_ARCHITECTURES[architecture]
        resolve = self._library.seccomp_syscall_resolve_name_arch
        number: int = resolve(ctypes.c_uint32(token), name.encode())
        return number != -1 and (number >= 0 or architecture == "SCMP_ARCH_X86_64")

    def _add(self, context: ctypes.c_void_p, rule: SyscallRule, default: int) -> None:
        action = self._action(rule["action"], rule.get("errnoRet", 1))
        arguments = rule.get("args", [])
        # struct scmp_arg_cmp of seccomp.h
        comparisons = b"".join(
            struct.pack(
                "=IiQQ",
                each["index"],
                _LIBSECCOMP_COMPARISONS[each["op"]],
                each["value"],
                each.get("valueTwo", 0),
            )
            for each in arguments
        )
        for name in rule["names"]:
            if action == default or not self.knows(name):
                continue
            number = self._library.seccomp_syscall_resolve_name(name.encode())
            result = self._library.seccomp_rule_add_array(
                context, ctypes.c_uint32(action), number, len(arguments), comparisons
            )
            assert result == 0, (name, result)

    def _export(self, context: ctypes.c_void_p) -> bytes:
        with tempfile.TemporaryFile() as file:
            assert self._library.seccomp_export_bpf(context, file.fileno()) == 0
            file.seek(0)
            return file.read()

    @staticmethod
    def _action(action: str, errno_ret: int) -> int:
        values = {
            "SCMP_ACT_ALLOW": ALLOW,
            "SCMP_ACT_LOG": 0x7FFC0000,
            "SCMP_ACT_ERRNO": _ERRNO | errno_ret,
            "SCMP_ACT_KILL_PROCESS": 0x80000000,
            "SCMP_ACT_TRAP": 0x00030000,
        }
        return values[action]


def in_child(act: Callable[[], str]) -> str:
    """Return what `act` returns in a forked child; its exception's text when it raises."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            text = act()
        except BaseException as error:  # noqa: BLE001 - the child must not run the tests of its parent
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    return text if os.WIFEXITED(status) else f"killed by signal {os.WTERMSIG(status)}"
