"""Extended BPF: encode a few instructions, load a program, attach it to a cgroup.

Only what a device filter of cgroup v2 needs; classic BPF, which seccomp runs, is in `bpf`.
See bpf(2), linux/bpf.h, and instruction-set.rst of the kernel's documentation.
"""

import ctypes
import os
import struct

__all__ = [
    "and_imm",
    "attach_device_program",
    "exit_program",
    "if_equal_imm",
    "if_not_equal_imm",
    "if_not_equal_reg",
    "load_device_program",
    "load_word",
    "move_imm",
    "move_reg",
    "shift_right_imm",
]

# linux/bpf.h: instruction classes with operation and source.
_LDX_MEM_W = 0x61
_ALU_AND_K = 0x54
_ALU_RSH_K = 0x74
_ALU64_MOV_K = 0xB7
_ALU64_MOV_X = 0xBF
_JMP_JEQ_K = 0x15
_JMP_JNE_K = 0x55
_JMP_JNE_X = 0x5D
_JMP_EXIT = 0x95

# bpf(2): commands, program and attach types, flags.
_BPF_PROG_LOAD = 5
_BPF_PROG_ATTACH = 8
_BPF_PROG_TYPE_CGROUP_DEVICE = 15
_BPF_CGROUP_DEVICE = 6
# Programs of the folders above go on deciding too; all must agree.
_BPF_F_ALLOW_MULTI = 2

# The numbers of bpf(2): glibc has no wrapper for it. asm/unistd.h of each machine.
_BPF_NUMBERS = {"x86_64": 321, "aarch64": 280}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def load_word(register: int, base: int, offset: int) -> bytes:
    """Encode ``register = *(u32 *)(base + offset)``."""
    return _instruction(_LDX_MEM_W, register, base, offset)


def and_imm(register: int, number: int) -> bytes:
    """Encode ``register &= number`` in 32 bits."""
    return _instruction(_ALU_AND_K, register, number=number)


def shift_right_imm(register: int, number: int) -> bytes:
    """Encode ``register >>= number`` in 32 bits."""
    return _instruction(_ALU_RSH_K, register, number=number)


def move_imm(register: int, number: int) -> bytes:
    """Encode ``register = number``."""
    return _instruction(_ALU64_MOV_K, register, number=number)


def move_reg(register: int, source: int) -> bytes:
    """Encode ``register = source``."""
    return _instruction(_ALU64_MOV_X, register, source)


def if_equal_imm(register: int, number: int, skip: int) -> bytes:
    """Encode ``if register == number, skip so many instructions``."""
    return _instruction(_JMP_JEQ_K, register, 0, skip, number)


def if_not_equal_imm(register: int, number: int, skip: int) -> bytes:
    """Encode ``if register != number, skip so many instructions``."""
    return _instruction(_JMP_JNE_K, register, 0, skip, number)


def if_not_equal_reg(register: int, source: int, skip: int) -> bytes:
    """Encode ``if register != source, skip so many instructions``."""
    return _instruction(_JMP_JNE_X, register, source, skip)


def exit_program() -> bytes:
    """Encode ``return r0``."""
    return _instruction(_JMP_EXIT)


def load_device_program(program: bytes) -> int:
    """Have the kernel check and load a program of type CGROUP_DEVICE; return its descriptor.

    Raises
    ------
    OSError
        EPERM without CAP_BPF or CAP_SYS_ADMIN, EINVAL or EACCES from the verifier, ENOSYS
        without BPF in the kernel.
    """
    instructions = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "=IIQQIIQII",
        _BPF_PROG_TYPE_CGROUP_DEVICE,
        len(program) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(licence),
        0,  # log_level, log_size, log_buf: errno is enough
        0,
        0,
        0,  # kern_version, unused
        0,  # prog_flags
    )
    return _bpf(_BPF_PROG_LOAD, attributes)


def attach_device_program(cgroup_fd: int, program_fd: int) -> None:
    """Let a loaded program decide about device access in a cgroup; it stays until rmdir.

    Raises
    ------
    OSError
        With the kernel's errno.
    """
    attributes = struct.pack("=IIII", cgroup_fd, program_fd, _BPF_CGROUP_DEVICE, _BPF_F_ALLOW_MULTI)
    _bpf(_BPF_PROG_ATTACH, attributes)


def _instruction(
    code: int, destination: int = 0, source: int = 0, offset: int = 0, number: int = 0
) -> bytes:
    # struct bpf_insn; the registers share a byte, the first in the low half on little endian.
    return struct.pack("<BBhi", code, destination | source << 4, offset, number)


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result: int = _libc.syscall(
        ctypes.c_long(_BPF_NUMBERS[os.uname().machine]),
        ctypes.c_int(command),
        buffer,
        ctypes.c_uint(len(attributes)),
    )
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"bpf {command}: {os.strerror(number)}")
    return result
