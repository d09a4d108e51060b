"""System call filters: from the spec's rules to a BPF program, and into the kernel.

Conditions on capabilities and kernels are decided before (`runtime.profile`). Here the rules are
those of config-linux.md#seccomp, with runc's and libseccomp's reading where the text is silent:

* a rule whose action is the default one says nothing;
* a rule without arguments wins over those with some; those are tried in their order;
* the conditions of a rule must all hold, but two on the same argument are alternatives;
* names that an architecture has not are skipped, architectures that this machine has not too;
* a system call newer than all that the profile names fails with ENOSYS, not with the default error:
  C libraries then fall back to an older one. This is what runc puts before libseccomp's program.

Why the program looks as it does: the kernel runs it at each system call. It finds the number by
bisection, over runs of neighbouring numbers with one verdict (about 60 for Docker's profile, so six
comparisons), and looks at arguments only behind that. So the calls that are allowed whatever their
arguments are never reach the program at all: since Linux 5.11 the kernel works out at installation
which those are, for programs that load nothing but number and architecture on the way.
"""

import errno

from dockerlab.kernel import bpf, privileges, syscallnumbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.oci.runtimespec import Seccomp, SyscallArg, SyscallRule

__all__ = ["ACTIONS", "compile_filter", "install"]

# Verdicts: SECCOMP_RET_* of linux/seccomp.h. The low 16 bits carry the errno.
_VERDICTS = {
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
ACTIONS = tuple(_VERDICTS)
_WITH_ERRNO = {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}
_DATA = 0xFFFF  # SECCOMP_RET_DATA
_ENOSYS = _VERDICTS["SCMP_ACT_ERRNO"] | errno.ENOSYS
# A tracer supports future calls by itself, and an allowing default has nothing to soften.
_LENIENT = {"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"}

# Offsets in struct seccomp_data; both machines are little endian.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_LOW_WORD = 0xFFFFFFFF

# The spec's name: the machine, AUDIT_ARCH_* of linux/audit.h, the table of numbers.
_ARCHITECTURES = {
    "SCMP_ARCH_X86_64": ("x86_64", 0xC000003E, "x86_64"),
    "SCMP_ARCH_X86": ("x86_64", 0x40000003, "i386"),
    "SCMP_ARCH_X32": ("x86_64", 0xC000003E, "x32"),
    "SCMP_ARCH_AARCH64": ("aarch64", 0xC00000B7, "aarch64"),
    "SCMP_ARCH_ARM": ("aarch64", 0x40000028, "arm"),
}
_NARROW = {"i386", "arm"}

# asm/unistd.h of arm: numbers from here on are private to it, and older than many below.
_ARM_PRIVATE = 0x0F0000

# A tracer cancels a system call by setting its number to -1: nothing is executed, and any verdict
# but "allow" would overwrite the result that the tracer gave.
_CANCELLED = 0xFFFFFFFF

# Arguments that the kernel declares as int and cuts to 32 bits. To compare all 64 would let
# 2**32 + 40 pass for another socket family than AF_VSOCK (as in CVE-2019-7303, with ioctl).
_INT_ARGUMENTS = {
    "fcntl": {0, 1},
    "ioctl": {0, 1},
    "personality": {0},
    "prctl": {0},
    "socket": {0, 1, 2},
    "socketpair": {0, 1, 2},
}

# Comparisons that are another one with the answers exchanged.
_NEGATIONS = {
    "SCMP_CMP_NE": "SCMP_CMP_EQ",
    "SCMP_CMP_LT": "SCMP_CMP_GE",
    "SCMP_CMP_LE": "SCMP_CMP_GT",
}
_JUMPS = {"SCMP_CMP_GE": bpf.JGE, "SCMP_CMP_GT": bpf.JGT}


def compile_filter(seccomp: "Seccomp", machine: str) -> bytes:
    """Compile the filter of a spec.

    Parameters
    ----------
    seccomp : Seccomp
        As the spec's ``linux.seccomp``.
    machine : str
        As in uname(2), ``x86_64`` or ``aarch64``.

    Returns
    -------
    bytes
        Whole ``struct sock_filter``, for `install`.

    Raises
    ------
    ValueError
        For an unknown action, comparison or machine.
    """
    wanted = seccomp.get("architectures") or _native(machine)
    tables: dict[int, dict[str, dict[str, int]]] = {}
    for each in wanted:
        owner, audit, table = _ARCHITECTURES.get(each, ("", 0, ""))
        if owner == machine:
            tables.setdefault(audit, {})[table] = syscallnumbers.numbers(table)
    if not tables:
        raise ValueError(f'no architecture of the filter runs on "{machine}": {list(wanted)}')
    program = bpf.Assembler()
    # Of another architecture: nothing that the machine could have been asked for by mistake.
    stranger = program.answer(_VERDICTS["SCMP_ACT_KILL_PROCESS"])
    entry = stranger
    for audit, group in reversed(tables.items()):
        starts: dict[int, int] = {}
        for table, numbers in group.items():
            starts |= _Section(program, seccomp, table, numbers).starts()
        if audit == _ARCHITECTURES["SCMP_ARCH_X86_64"][1]:
            # x32 has the same AUDIT_ARCH as x86_64; one of the two may be missing.
            starts.setdefault(0, stranger)
            starts.setdefault(syscallnumbers.X32_SYSCALL_BIT, stranger)
        starts[_CANCELLED] = program.answer(_VERDICTS["SCMP_ACT_ALLOW"])
        section = program.load(_NUMBER, _bisect(program, _runs(starts)))
        entry = program.jump(bpf.JEQ, audit, section, entry)
    return program.assemble(program.load(_ARCHITECTURE, entry))


def install(program: bytes) -> None:
    """Put this thread and all that it starts under a filter, for good.

    Needs CAP_SYS_ADMIN in the user namespace, or no_new_privs; see seccomp(2).

    Raises
    ------
    OSError
        With the kernel's errno.
    """
    privileges.seccomp_set_mode_filter(program)


def _native(machine: str) -> list[str]:
    return [name for name, (owner, _, table) in _ARCHITECTURES.items() if table == owner == machine]


class _Section:
    """The decisions for one table of numbers."""

    def __init__(
        self, program: bpf.Assembler, seccomp: "Seccomp", table: str, numbers: dict[str, int]
    ) -> None:
        self._program = program
        self._numbers = numbers
        self._is_narrow = table in _NARROW
        self._first = syscallnumbers.X32_SYSCALL_BIT if table == "x32" else 0
        self._default = _verdict(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
        self._is_lenient = seccomp["defaultAction"] in _LENIENT
        self._rules: dict[str, list[SyscallRule]] = {}
        for rule in seccomp["syscalls"]:
            for name in rule["names"]:
                if name in numbers:
                    self._rules.setdefault(name, []).append(rule)

    def starts(self) -> dict[int, int]:
        """Return where what begins: the first number of each decision, and its instruction."""
        default = self._program.answer(self._default)
        decided = {self._numbers[name]: self._decide(name) for name in self._rules}
        known = [number for number in decided if number < _ARM_PRIVATE or self._first]
        newest = max(known, default=self._first)
        newer = default if self._is_lenient else self._program.answer(_ENOSYS)
        starts = {self._first: default}
        for number in sorted(decided):
            starts[number] = decided[number]
            starts[number + 1] = default if number < newest else newer
        return starts

    def _decide(self, name: str) -> int:
        """Add the instructions for one system call; return the first."""
        conditional: list[tuple[list[list[SyscallArg]], int]] = []
        for rule in self._rules[name]:
            verdict = _verdict(rule["action"], rule.get("errnoRet"))
            if verdict == self._default:
                continue
            arguments = rule.get("args")
            if not arguments:
                return self._program.answer(verdict)
            conditional.append((_alternatives(arguments), verdict))
        otherwise = self._program.answer(self._default)
        for alternatives, verdict in reversed(conditional):
            for conditions in reversed(alternatives):
                then = self._program.answer(verdict)
                for condition in reversed(conditions):
                    then = self._compare(name, condition, then, otherwise)
                otherwise = then
        return otherwise

    def _compare(self, name: str, condition: "SyscallArg", if_true: int, if_false: int) -> int:
        """Add the comparison of one argument, which is 64 bits wide and loaded in two halves."""
        operation, value = condition["op"], condition["value"]
        if operation in _NEGATIONS:
            operation, if_true, if_false = _NEGATIONS[operation], if_false, if_true
        mask = _LOW_WORD << 32 | _LOW_WORD
        if operation == "SCMP_CMP_MASKED_EQ":
            mask, value = value, condition.get("valueTwo", 0)
            operation = "SCMP_CMP_EQ"
        if operation not in {"SCMP_CMP_EQ", *_JUMPS}:
            raise ValueError(f'unknown comparison "{condition["op"]}" for "{name}"')
        low = _ARGUMENTS + 8 * condition["index"]
        last = self._program.jump(
            _JUMPS.get(operation, bpf.JEQ), value & _LOW_WORD, if_true, if_false
        )
        node = self._load(low, mask & _LOW_WORD, last)
        is_int = self._is_narrow or condition["index"] in _INT_ARGUMENTS.get(name, ())
        if is_int or not (mask | value) >> 32:
            return node
        node = self._program.jump(bpf.JEQ, value >> 32, node, if_false)
        if operation in _JUMPS:
            node = self._program.jump(bpf.JGT, value >> 32, if_true, node)
        return self._load(low + 4, mask >> 32, node)

    def _load(self, offset: int, mask: int, then: int) -> int:
        if mask != _LOW_WORD:
            then = self._program.mask(mask, then)
        return self._program.load(offset, then)


def _alternatives(arguments: "list[SyscallArg]") -> "list[list[SyscallArg]]":
    """Return the conditions, of which one list must hold as a whole."""
    indexes = [argument["index"] for argument in arguments]
    if len(set(indexes)) == len(indexes):
        return [arguments]
    return [[argument] for argument in arguments]


def _verdict(action: str, errno_ret: int | None) -> int:
    """Return SECCOMP_RET_* with its data: EPERM where the rule gives no errno."""
    if action not in _VERDICTS:
        raise ValueError(f'unknown or unsupported seccomp action "{action}"')
    if action not in _WITH_ERRNO:
        return _VERDICTS[action]
    return _VERDICTS[action] | (errno.EPERM if errno_ret is None else errno_ret) & _DATA


def _runs(starts: dict[int, int]) -> list[tuple[int, int]]:
    """Return the starts in order, without those that change nothing."""
    runs: list[tuple[int, int]] = []
    for start, node in sorted(starts.items()):
        if not runs or runs[-1][1] != node:
            runs.append((start, node))
    return runs


def _bisect(program: bpf.Assembler, runs: list[tuple[int, int]]) -> int:
    """Add the comparisons that find the run which a number is in."""
    if len(runs) == 1:
        return runs[0][1]
    middle = len(runs) // 2
    lower, upper = _bisect(program, runs[:middle]), _bisect(program, runs[middle:])
    return program.jump(bpf.JGE, runs[middle][0], upper, lower)
