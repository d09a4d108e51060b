import ctypes
import errno
import os
import socket
import sys
from collections.abc import Callable

import pytest

from dockerlab.kernel import syscallnumbers
from dockerlab.oci.runtimespec import Seccomp, SyscallRule
from dockerlab.runtime import defaults, profile
from dockerlab.runtime.seccomp import compile_filter, install
from tests.support.filters import ALLOW, LibSeccomp, errno_verdict, evaluate, in_child

X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
SPEC_NAMES = {
    "x86_64": "SCMP_ARCH_X86_64",
    "i386": "SCMP_ARCH_X86",
    "x32": "SCMP_ARCH_X32",
}
AUDIT = {"x86_64": X86_64, "x32": X86_64, "i386": I386, "aarch64": AARCH64, "arm": ARM}
EPERM, ENOSYS = errno_verdict(errno.EPERM), errno_verdict(errno.ENOSYS)

# Everything that Docker's rules compare with, their neighbours, and halves of 64 bits.
INTERESTING = sorted(
    {
        value + step
        for value in (0, 1, 8, 16, 38, 39, 40, 131072, 131080, 0x7E020000, 0x20000, 2**32 - 2)
        for step in (0, 1)
    }
    | {1 << bit for bit in range(64)}
    | {2**64 - 1, 2**32 + 40, 2**32 + 8}
)

needs_libseccomp = pytest.mark.skipif(
    not LibSeccomp.is_installed(), reason="no libseccomp to compare with"
)
needs_x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="not an x86_64 machine")


def docker_filter(machine: str = "x86_64", *capabilities: str) -> Seccomp:
    bounding = [*defaults.DEFAULT_CAPABILITIES, *capabilities]
    return profile.expand(profile.default_profile(), bounding, machine=machine, kernel="6.18")


def one_rule(**rule: object) -> Seccomp:
    made: SyscallRule = {"names": ["read"], "action": "SCMP_ACT_ALLOW", **rule}  # type: ignore[typeddict-item]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [made],
    }


# ------------------------------------------------------------------------ libseccomp as the oracle


def assert_same_verdicts(ours: Seccomp, tables: list[str]) -> None:
    """Compare every number and many arguments; calls that libseccomp is too old for are left out.

    The two differ on purpose where the kernel takes an int (`test_an_int_argument...`), and in
    ENOSYS for what is newer than the profile, which runc puts before libseccomp's program.
    """
    library = LibSeccomp()
    known: Seccomp = {**ours, "syscalls": []}
    for rule in ours["syscalls"]:
        kept = [name for name in rule["names"] if library.knows(name)]
        known["syscalls"].append({**rule, "names": kept})
    mine, theirs = compile_filter(known, os.uname().machine), library.compile(known)
    compared = {name for rule in known["syscalls"] if rule.get("args") for name in rule["names"]}
    for table in tables:
        numbers = syscallnumbers.numbers(table)
        names = {number: name for name, number in numbers.items()}
        named = {name for rule in known["syscalls"] for name in rule["names"]}
        newest = max(numbers[name] for name in named if name in numbers)
        for number in range(min(names), max(names) + 3):
            name = names.get(number, "")
            if table == "x32" and name and not library.knows(name, SPEC_NAMES[table]):
                continue
            is_compared = name in compared
            for value in INTERESTING if is_compared else (0,):
                if value >> 32 and (table != "x86_64" or name in {"socket", "personality"}):
                    continue
                expected = evaluate(theirs, number, AUDIT[table], [value])
                if number > newest:
                    assert expected == EPERM
                    expected = ENOSYS
                found = evaluate(mine, number, AUDIT[table], [value])
                assert found == expected, (table, number, name, hex(value))


@needs_libseccomp
@needs_x86_64
@pytest.mark.parametrize(
    "capabilities",
    [(), ("CAP_SYS_ADMIN",), ("CAP_SYS_PTRACE", "CAP_SYS_TIME", "CAP_BPF", "CAP_SYS_MODULE")],
    ids=["default", "admin", "some"],
)
def test_dockers_profile_answers_as_libseccomps_program(capabilities: tuple[str, ...]) -> None:
    assert_same_verdicts(docker_filter("x86_64", *capabilities), ["x86_64", "i386", "x32"])


COMPARISONS = ["EQ", "NE", "LT", "LE", "GT", "GE"]


@needs_libseccomp
@needs_x86_64
@pytest.mark.parametrize("operation", COMPARISONS)
@pytest.mark.parametrize("value", [0, 40, 2**32, 2**32 + 40, 2**64 - 1])
def test_comparisons_of_64_bits_are_libseccomps(operation: str, value: int) -> None:
    rule = one_rule(args=[{"index": 3, "value": value, "op": f"SCMP_CMP_{operation}"}])
    mine, theirs = compile_filter(rule, "x86_64"), LibSeccomp().compile(rule)
    for given in {*INTERESTING, value, max(value - 1, 0), min(value + 1, 2**64 - 1)}:
        arguments = [0, 0, 0, given]
        assert evaluate(mine, 0, X86_64, arguments) == evaluate(theirs, 0, X86_64, arguments)


@needs_libseccomp
@needs_x86_64
def test_masked_comparisons_are_libseccomps() -> None:
    condition = {"index": 1, "value": 0xF0_0000_00F0, "valueTwo": 0x10_0000_0020}
    rule = one_rule(args=[{**condition, "op": "SCMP_CMP_MASKED_EQ"}])
    mine, theirs = compile_filter(rule, "x86_64"), LibSeccomp().compile(rule)
    for given in (0x10_0000_0020, 0x1F_0000_002F, 0x20_0000_0020, 0x10_0000_0000, 0x20, 0):
        arguments = [0, given]
        assert evaluate(mine, 0, X86_64, arguments) == evaluate(theirs, 0, X86_64, arguments)


# ------------------------------------------------------------------------------- rules and numbers


def test_a_call_newer_than_the_profile_fails_with_enosys() -> None:
    program = compile_filter(docker_filter(), "x86_64")
    assert evaluate(program, 999, X86_64) == ENOSYS
    assert evaluate(program, syscallnumbers.X32_SYSCALL_BIT + 999, X86_64) == ENOSYS
    assert evaluate(program, 999, I386) == ENOSYS


def test_an_allowing_default_stays_for_newer_calls() -> None:
    seccomp = one_rule(action="SCMP_ACT_ERRNO")
    seccomp["defaultAction"] = "SCMP_ACT_ALLOW"
    program = compile_filter(seccomp, "x86_64")
    assert [evaluate(program, number, X86_64) for number in (0, 1, 999)] == [EPERM, ALLOW, ALLOW]


def test_an_unknown_architecture_is_killed() -> None:
    program = compile_filter(docker_filter(), "x86_64")
    assert evaluate(program, 0, AARCH64) == 0x80000000


@pytest.mark.parametrize("number", [0, 400, 0x3FFFFFFF])
def test_x32_is_killed_unless_the_filter_names_it(number: int) -> None:
    program = compile_filter(one_rule(), "x86_64")
    assert evaluate(program, syscallnumbers.X32_SYSCALL_BIT + number, X86_64) in {0x80000000, ALLOW}
    assert evaluate(program, syscallnumbers.X32_SYSCALL_BIT, X86_64) == 0x80000000


def test_a_call_that_a_tracer_cancelled_keeps_its_result() -> None:
    program = compile_filter(docker_filter(), "x86_64")
    assert evaluate(program, 0xFFFFFFFF, X86_64) == ALLOW


@pytest.mark.parametrize("table", ["aarch64", "arm"])
def test_docker_profile_of_arm_allows_its_calls(table: str) -> None:
    program = compile_filter(docker_filter("aarch64"), "aarch64")
    numbers = syscallnumbers.numbers(table)
    verdicts = {
        name: evaluate(program, numbers[name], AUDIT[table])
        for name in ("read", "openat", "io_uring_setup", "unshare", "clone3")
    }
    assert verdicts == {
        "read": ALLOW,
        "openat": ALLOW,
        "io_uring_setup": EPERM,
        "unshare": EPERM,
        "clone3": ENOSYS,
    }


def test_private_calls_of_arm_do_not_hide_newer_ones() -> None:
    program = compile_filter(docker_filter("aarch64"), "aarch64")
    assert evaluate(program, syscallnumbers.numbers("arm")["set_tls"], ARM) == ALLOW
    assert evaluate(program, 999, ARM) == ENOSYS


def test_conditions_on_different_arguments_must_all_hold() -> None:
    conditions = [{"index": each, "value": 5, "op": "SCMP_CMP_EQ"} for each in (0, 1)]
    program = compile_filter(one_rule(args=conditions), "x86_64")
    assert evaluate(program, 0, X86_64, [5, 5]) == ALLOW
    assert {evaluate(program, 0, X86_64, given) for given in ([5, 4], [4, 5])} == {EPERM}


def test_conditions_on_one_argument_are_alternatives() -> None:
    conditions = [{"index": 0, "value": each, "op": "SCMP_CMP_EQ"} for each in (5, 6)]
    program = compile_filter(one_rule(args=conditions), "x86_64")
    verdicts = [evaluate(program, 0, X86_64, [given]) for given in (4, 5, 6, 7)]
    assert verdicts == [EPERM, ALLOW, ALLOW, EPERM]


def test_an_int_argument_is_compared_as_the_kernel_sees_it() -> None:
    program = compile_filter(docker_filter(), "x86_64")
    number = syscallnumbers.numbers("x86_64")["socket"]
    assert evaluate(program, number, X86_64, [socket.AF_INET]) == ALLOW
    assert evaluate(program, number, X86_64, [2**32 + socket.AF_VSOCK]) == EPERM


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"action": "SCMP_ACT_NOTIFY"}, "unsupported seccomp action"),
        ({"args": [{"index": 0, "value": 0, "op": "SCMP_CMP_LIKE"}]}, "unknown comparison"),
    ],
)
def test_what_cannot_be_compiled_is_an_error(rule: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_filter(one_rule(**rule), "x86_64")


def test_a_filter_for_other_machines_only_is_an_error() -> None:
    with pytest.raises(ValueError, match="no architecture of the filter"):
        compile_filter(one_rule(), "aarch64")


# -------------------------------------------------------------------------------- the kernel's word


def call(name: str, *arguments: int) -> Callable[[], str]:
    """Return what makes a system call under Docker's filter and tells the errno."""
    machine = os.uname().machine
    number = syscallnumbers.numbers(machine)[name]

    def act() -> str:
        libc = ctypes.CDLL(None, use_errno=True)
        install(compile_filter(docker_filter(machine), machine))
        result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments))
        return errno.errorcode[ctypes.get_errno()] if result < 0 else "allowed"

    return act


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("getpid", (), "allowed"),
        ("unshare", (0x10000000,), "EPERM"),  # CLONE_NEWUSER
        ("clone", (0x10000000 | 17, 0, 0, 0, 0), "EPERM"),
        ("clone3", (0, 0), "ENOSYS"),
        ("io_uring_setup", (1, 0), "EPERM"),
        ("socket", (socket.AF_UNIX, socket.SOCK_STREAM, 0), "allowed"),
        ("socket", (socket.AF_VSOCK, socket.SOCK_STREAM, 0), "EPERM"),
        ("socket", (2**32 + socket.AF_VSOCK, socket.SOCK_STREAM, 0), "EPERM"),
        ("socket", (socket.AF_ALG, socket.SOCK_SEQPACKET, 0), "EPERM"),
        ("personality", (0xFFFFFFFF,), "allowed"),
        ("personality", (0x0040000,), "EPERM"),  # ADDR_NO_RANDOMIZE
        ("keyctl", (0, 0, 0, 0, 0), "EPERM"),
        ("mount", (0, 0, 0, 0, 0), "EPERM"),
        ("bpf", (0, 0, 0), "EPERM"),
        ("ptrace", (0, 0, 0, 0), "allowed"),  # PTRACE_TRACEME
        ("process_vm_readv", (1, 0, 0, 0, 0, 1), "EINVAL"),  # the kernel's, not the filter's
    ],
)
def test_the_kernel_enforces_dockers_profile(
    name: str, arguments: tuple[int, ...], expected: str
) -> None:
    assert in_child(call(name, *arguments)) == expected


@pytest.mark.needs_root
def test_threads_can_be_started_under_the_filter() -> None:
    def act() -> str:
        import threading

        install(compile_filter(docker_filter(os.uname().machine), os.uname().machine))
        done = threading.Event()
        thread = threading.Thread(target=done.set)
        thread.start()
        thread.join()
        return str(done.is_set())

    assert in_child(act) == "True"


@pytest.mark.needs_root
def test_a_program_can_be_executed_under_the_filter() -> None:
    def act() -> str:
        import subprocess

        install(compile_filter(docker_filter(os.uname().machine), os.uname().machine))
        return subprocess.run(
            [sys.executable, "-c", "print('ran')"], capture_output=True, check=True, text=True
        ).stdout.strip()

    assert in_child(act) == "ran"
