"""Write dockerlab/kernel/syscallnumbers.py: the system calls of five architectures.

The source is the table inside libseccomp (the shared library of the machine this runs on) and,
for system calls that are newer than an installed libseccomp, the list here: since Linux 5.1 a new
system call gets one number on every architecture (Documentation/process/adding-syscalls.rst).

Run ``python scripts/make_syscall_numbers.py`` to write the file again, with ``--check`` to compare.
"""

import argparse
import ctypes
import ctypes.util
import sys
import textwrap
from pathlib import Path

OUTPUT = Path(__file__).parents[1] / "dockerlab" / "kernel" / "syscallnumbers.py"

# Value of SCMP_ARCH_* (AUDIT_ARCH_* of linux/audit.h; x32 is libseccomp's own), ranges of numbers.
_X32_BIT = 0x40000000
_ARM_PRIVATE = 0x0F0000
ARCHITECTURES = {
    "x86_64": (0xC000003E, [range(600)]),
    "i386": (0x40000003, [range(600)]),
    "x32": (0x4000003E, [range(_X32_BIT, _X32_BIT + 600)]),
    "aarch64": (0xC00000B7, [range(600)]),
    "arm": (0x40000028, [range(600), range(_ARM_PRIVATE, _ARM_PRIVATE + 16)]),
}

# scripts/syscall.tbl and arch/*/syscalls/*.tbl of Linux 7.1.
NEWER_EVERYWHERE = """
    cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount
    lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat
    removexattrat open_tree_attr file_getattr file_setattr listns rseq_slice_yield
"""
FIRST_NEWER = 451
NEWER_HERE = {
    "x86_64": {"uretprobe": 335, "uprobe": 336},
    "x32": {"uretprobe": _X32_BIT + 335, "uprobe": _X32_BIT + 336},
}

HEADER = '''"""The numbers of system calls by name, for five architectures.

Made by scripts/make_syscall_numbers.py, not by hand. In a table, each name has the number behind
the one before it; a number in between says where the counting goes on.
"""

__all__ = ["ARCHITECTURES", "X32_SYSCALL_BIT", "numbers"]

# asm/unistd.h: a call through the x32 ABI has this bit set in its number.
X32_SYSCALL_BIT = 0x40000000

'''

FOOTER = '''
ARCHITECTURES = tuple(_TABLES)


def numbers(architecture: str) -> dict[str, int]:
    """Return the numbers of an architecture's system calls; those of x32 have its bit.

    Examples
    --------
    >>> numbers("x86_64")["execve"], numbers("i386")["execve"], numbers("aarch64")["execve"]
    (59, 11, 221)
    """
    found: dict[str, int] = {}
    number = 0
    for word in _TABLES[architecture].split():
        if word.isdigit():
            number = int(word)
        else:
            found[word] = number
            number += 1
    return found
'''


def names_of(architecture: str) -> dict[int, str]:
    """Return the system calls of one architecture by number."""
    library = ctypes.CDLL(ctypes.util.find_library("seccomp"))
    resolve = library.seccomp_syscall_resolve_num_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_int]
    resolve.restype = ctypes.c_void_p
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    token, ranges = ARCHITECTURES[architecture]
    found: dict[int, str] = {}
    for number in (each for numbers in ranges for each in numbers):
        if address := resolve(token, number):
            found[number] = ctypes.string_at(address).decode()
            free(address)
    bit = _X32_BIT if architecture == "x32" else 0
    found |= {bit + FIRST_NEWER + i: name for i, name in enumerate(NEWER_EVERYWHERE.split())}
    found |= {number: name for name, number in NEWER_HERE.get(architecture, {}).items()}
    return dict(sorted(found.items()))


def table_of(names: dict[int, str]) -> str:
    """Return the words of one table."""
    words: list[str] = []
    expected = 0
    for number, name in names.items():
        if number != expected:
            words.append(str(number))
        words.append(name)
        expected = number + 1
    return textwrap.fill(" ".join(words), width=99, break_on_hyphens=False)


def contents() -> str:
    """Return the whole file."""
    tables = "".join(
        f'    "{each}": """\n{table_of(names_of(each))}\n""",\n' for each in ARCHITECTURES
    )
    return f"{HEADER}_TABLES = {{\n{tables}}}\n{FOOTER}"


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    arguments = parser.parse_args()
    if arguments.check:
        return int(OUTPUT.read_text(encoding="utf-8") != contents())
    OUTPUT.write_text(contents(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
