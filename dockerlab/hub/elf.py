"""Write a static ELF program that prints one message and exits.

Not an assembler: the two instruction sequences are written out, with the assembly beside the bytes.
See elf(5), the System V ABI supplements for x86-64 and AArch64, and write(2).
"""

import struct

from dockerlab.errors import InvalidArgument, Unsupported

__all__ = ["MAX_MESSAGE_BYTES", "hello_elf"]

# The length is an immediate of 16 bits in AArch64's `movz`.
MAX_MESSAGE_BYTES = 0xFFFF

# elf(5): e_ident, e_type, e_machine, e_version and the program header's fields; linux/elf.h
ELFCLASS64 = 2
ELFDATA2LSB = 1
EV_CURRENT = 1
ET_EXEC = 2
EM_X86_64 = 62
EM_AARCH64 = 183
PT_LOAD = 1
PT_GNU_STACK = 0x6474E551
PF_X = 1
PF_W = 2
PF_R = 4

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_HEADERS_BYTES = _EHDR.size + 2 * _PHDR.size

# Where linkers put a program that is not relocated, and the largest page of the processor.
_BASE = 0x400000
_PAGE_BYTES = {EM_X86_64: 0x1000, EM_AARCH64: 0x10000}


def hello_elf(machine: str, message: bytes) -> bytes:
    """Return a program that writes `message` to its standard output.

    It continues after a short write and after EINTR, and exits with 0, or with 1 when the message
    could not be written. Text and message share one read-only, executable segment; nothing is
    writable but the stack, which is not executable.

    Parameters
    ----------
    machine : str
        ``amd64`` or ``arm64``.
    message : bytes
        1 to `MAX_MESSAGE_BYTES` bytes.

    Raises
    ------
    InvalidArgument
        The message is empty or too long.
    Unsupported
        Another machine.

    Notes
    -----
    A pure function: the same arguments give the same bytes, hence the same digest, everywhere.
    """
    if not 0 < len(message) <= MAX_MESSAGE_BYTES:
        raise InvalidArgument(
            f"a message of {len(message)} bytes does not fit: expected 1 to {MAX_MESSAGE_BYTES}"
        )
    if machine == "amd64":
        return _image(EM_X86_64, _amd64_text(len(message)) + message)
    if machine == "arm64":
        return _image(EM_AARCH64, _arm64_text(len(message)) + message)
    raise Unsupported(f'no hello program for the machine "{machine}": there are amd64 and arm64')


def _image(elf_machine: int, body: bytes) -> bytes:
    size = _HEADERS_BYTES + len(body)
    ident = b"\x7fELF" + bytes((ELFCLASS64, ELFDATA2LSB, EV_CURRENT))
    header = _EHDR.pack(
        ident,
        ET_EXEC,
        elf_machine,
        EV_CURRENT,
        _BASE + _HEADERS_BYTES,  # e_entry
        _EHDR.size,  # e_phoff
        0,  # e_shoff: the kernel needs no sections
        0,  # e_flags
        _EHDR.size,
        _PHDR.size,
        2,  # e_phnum
        0,
        0,
        0,
    )
    page = _PAGE_BYTES[elf_machine]
    load = _PHDR.pack(PT_LOAD, PF_R | PF_X, 0, _BASE, _BASE, size, size, page)
    # Without this header the kernel gives an executable stack.
    stack = _PHDR.pack(PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16)
    return header + load + stack + body


def _amd64_text(length: int) -> bytes:
    # The kernel keeps every register but rax, rcx and r11 (syscall(2)): edi stays 1, which is at
    # once the descriptor and, should a write fail, the exit status.
    setup = b"\xbb" + struct.pack("<I", length)  # mov ebx, length
    setup += b"\xbf\x01\x00\x00\x00"  # mov edi, 1
    loop = (
        b"\x89\xda"  # again: mov edx, ebx
        b"\xb8\x01\x00\x00\x00"  # mov eax, 1 (write)
        b"\x0f\x05"  # syscall
        b"\x48\x83\xf8\xfc"  # cmp rax, -4 (EINTR)
        b"\x74\xf1"  # je again
        b"\x48\x85\xc0"  # test rax, rax
        b"\x7e\x09"  # jle exit
        b"\x48\x01\xc6"  # add rsi, rax
        b"\x29\xc3"  # sub ebx, eax
        b"\x75\xe5"  # jnz again
        b"\x31\xff"  # xor edi, edi
        b"\xb8\xe7\x00\x00\x00"  # exit: mov eax, 231 (exit_group)
        b"\x0f\x05"  # syscall
    )
    address = b"\x48\x8d\x35" + struct.pack("<i", len(setup) + len(loop))  # lea rsi, [rip+message]
    return address + setup + loop


def _arm64_text(length: int) -> bytes:
    # The kernel keeps every register but x0 (syscall(2)).
    words = (
        0x52800013 | (length << 5),  # mov w19, length
        0xD2800020,  # again: mov x0, 1
        0x2A1303E2,  # mov w2, w19
        0xD2800808,  # mov x8, 64 (write)
        0xD4000001,  # svc 0
        0xB100101F,  # cmn x0, 4 (EINTR)
        0x54FFFF60,  # b.eq again
        0xF100001F,  # cmp x0, 0
        0xAA0003E3,  # mov x3, x0
        0xD2800020,  # mov x0, 1: the status should the write have failed; flags are kept
        0x540000AD,  # b.le exit
        0x8B030021,  # add x1, x1, x3
        0x6B030273,  # subs w19, w19, w3
        0x54FFFE81,  # b.ne again
        0xD2800000,  # mov x0, 0
        0xD2800BC8,  # exit: mov x8, 94 (exit_group)
        0xD4000001,  # svc 0
    )
    address = 0x10000001 | ((len(words) + 1) << 5)  # adr x1, message: behind the last instruction
    return struct.pack(f"<{len(words) + 1}I", address, *words)
