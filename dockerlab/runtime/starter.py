"""A program of some hundred bytes that starts another one under PRoot, and tells who it is.

PRoot keeps from its parent how a program ended: a signal is 255, and what counts is whoever ends
last. So it is given this program, which forks the container's and ends. The container's becomes a
child of the monitor, a subreaper, who then waits for it as for any other. What execve(2) answers is
told as well, so that nothing has to be read from PRoot's messages. See vfork(2), prctl(2), elf(5).

Not an assembler: the instructions are written out, with the assembly beside them. Import-light.
"""

from __future__ import annotations

import struct

__all__ = ["ENVIRONMENT_MARK", "REPORT", "REPORT_FD", "arguments", "starter_elf"]

# Where the report goes; closed by the execve(2) of the program.
REPORT_FD = 3
# The starter writes its digits into the blanks. Its length and the places are in the instructions.
REPORT = b'{"type":"program","pid":            ,"errno":            }'
# Before each variable that is the program's: all others are PRoot's own. Were they not marked, then
# an image could set LD_PRELOAD, or the PROOT_ ones, for PRoot itself.
ENVIRONMENT_MARK = b"\x01"

_EM_X86_64 = 62
_EM_AARCH64 = 183
_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_HEADERS_BYTES = _EHDR.size + 2 * _PHDR.size
_BASE = 0x400000
_PAGE_BYTES = 0x10000


def arguments(candidates: list[bytes], args: list[bytes]) -> list[bytes]:
    """Return the arguments of the starter.

    Parameters
    ----------
    candidates : list of bytes
        Paths of the program, tried in turn as execvp(3) does; none is empty.
    args : list of bytes
        Its arguments, the first one its name.
    """
    return [REPORT, *candidates, b"", *args]


def starter_elf(machine: str) -> bytes:
    """Return the program for a processor, ``x86_64`` or ``aarch64``.

    Raises
    ------
    LookupError
        There is none for this processor.

    Notes
    -----
    It writes `REPORT` with the pid of the program and the errno of its last execve(2), 0 when it
    runs, to `REPORT_FD`, and exits. When that fails, the report does not come.
    """
    number, text = _TEXTS[machine]
    size = _HEADERS_BYTES + len(text)
    ident = b"\x7fELF\x02\x01\x01"
    entry = _BASE + _HEADERS_BYTES
    sizes = (_EHDR.size, _PHDR.size, 2, 0, 0, 0)
    header = _EHDR.pack(ident, 2, number, 1, entry, _EHDR.size, 0, 0, *sizes)
    load = _PHDR.pack(1, 5, 0, _BASE, _BASE, size, size, _PAGE_BYTES)
    # PT_GNU_STACK: without it the stack would be executable.
    stack = _PHDR.pack(0x6474E551, 6, 0, 0, 0, 0, 0, 16)
    return header + load + stack + text


# The stack at the entry: argc, argv (name, report, candidates, "", args, NULL), envp. The word of
# argc holds the errno later: a vfork(2) shares the memory.
_X86_64 = (
    b"\x48\x8b\x04\x24"  # mov rax, [rsp]
    b"\x4c\x8d\x6c\xc4\x10"  # lea r13, [rsp+rax*8+0x10]
    b"\x4c\x8d\x64\x24\x18"  # lea r12, [rsp+0x18]
    b"\x4c\x89\xee"  # mov rsi, r13
    b"\x4c\x89\xef"  # mov rdi, r13
    b"\x48\x8b\x06"  # env: mov rax, [rsi]
    b"\x48\x83\xc6\x08"  # add rsi, 0x8
    b"\x48\x85\xc0"  # test rax, rax
    b"\x74\x11"  # je envend
    b"\x80\x38\x01"  # cmp byte [rax], 0x1
    b"\x75\xef"  # jne env
    b"\x48\xff\xc0"  # inc rax
    b"\x48\x89\x07"  # mov [rdi], rax
    b"\x48\x83\xc7\x08"  # add rdi, 0x8
    b"\xeb\xe3"  # jmp env
    b"\x48\x89\x07"  # envend: mov [rdi], rax
    b"\x4d\x89\xe6"  # mov r14, r12
    b"\x49\x8b\x06"  # sep: mov rax, [r14]
    b"\x49\x83\xc6\x08"  # add r14, 0x8
    b"\x80\x38\x00"  # cmp byte [rax], 0x0
    b"\x75\xf4"  # jne sep
    b"\x31\xc0"  # xor eax, eax
    b"\x48\x89\x04\x24"  # mov [rsp], rax
    b"\xb8\x3a\x00\x00\x00"  # mov eax, 58 (vfork)
    b"\x0f\x05"  # syscall
    b"\x48\x85\xc0"  # test rax, rax
    b"\x78\x32"  # js exit
    b"\x74\x37"  # je child
    b"\x48\x8b\x5c\x24\x10"  # mov rbx, [rsp+0x10]
    b"\x48\x8d\x7b\x23"  # lea rdi, [rbx+0x23]
    b"\xe8\x78\x00\x00\x00"  # call digits
    b"\x8b\x04\x24"  # mov eax, [rsp]
    b"\x48\x8d\x7b\x38"  # lea rdi, [rbx+0x38]
    b"\xe8\x6c\x00\x00\x00"  # call digits
    b"\xbf\x03\x00\x00\x00"  # mov edi, 0x3
    b"\x48\x89\xde"  # mov rsi, rbx
    b"\xba\x3a\x00\x00\x00"  # mov edx, 0x3a
    b"\xb8\x01\x00\x00\x00"  # mov eax, 1 (write)
    b"\x0f\x05"  # syscall
    b"\x31\xff"  # xor edi, edi
    b"\xb8\xe7\x00\x00\x00"  # exit: mov eax, 0xe7
    b"\x0f\x05"  # syscall
    b"\xbd\x02\x00\x00\x00"  # child: mov ebp, 2 (ENOENT)
    b"\xbf\x03\x00\x00\x00"  # mov edi, 0x3
    b"\xbe\x02\x00\x00\x00"  # mov esi, 2 (F_SETFD)
    b"\xba\x01\x00\x00\x00"  # mov edx, 1 (FD_CLOEXEC)
    b"\xb8\x48\x00\x00\x00"  # mov eax, 72 (fcntl)
    b"\x0f\x05"  # syscall
    b"\x49\x8b\x3c\x24"  # next: mov rdi, [r12]
    b"\x49\x83\xc4\x08"  # add r12, 0x8
    b"\x80\x3f\x00"  # cmp byte [rdi], 0x0
    b"\x74\x20"  # je fail
    b"\x4c\x89\xf6"  # mov rsi, r14
    b"\x4c\x89\xea"  # mov rdx, r13
    b"\xb8\x3b\x00\x00\x00"  # mov eax, 59 (execve)
    b"\x0f\x05"  # syscall
    b"\xf7\xd8"  # neg eax
    b"\x83\xf8\x02"  # cmp eax, 0x2
    b"\x74\xdf"  # je next
    b"\x83\xf8\x14"  # cmp eax, 0x14
    b"\x74\xda"  # je next
    b"\x89\xc5"  # mov ebp, eax
    b"\x83\xf8\x0d"  # cmp eax, 0xd
    b"\x74\xd3"  # je next
    b"\x89\x2c\x24"  # fail: mov [rsp], ebp
    b"\x89\xef"  # mov edi, ebp
    b"\xeb\xaa"  # jmp exit
    b"\xb9\x0a\x00\x00\x00"  # digits: mov ecx, 0xa
    b"\x31\xd2"  # digit: xor edx, edx
    b"\xf7\xf1"  # div ecx
    b"\x80\xc2\x30"  # add dl, 0x30
    b"\x88\x17"  # mov byte [rdi], dl
    b"\x48\xff\xcf"  # dec rdi
    b"\x85\xc0"  # test eax, eax
    b"\x75\xf0"  # jne digit
    b"\xc3"  # ret
)

_AARCH64 = (
    0x910003F3,  # mov x19, sp
    0xF9400260,  # ldr x0, [x19]
    0x8B000E75,  # add x21, x19, x0, lsl 3
    0x910042B5,  # add x21, x21, 16
    0x91006274,  # add x20, x19, 24
    0xAA1503E1,  # mov x1, x21
    0xAA1503E2,  # mov x2, x21
    0xF8408420,  # env: ldr x0, [x1], 8
    0xB40000E0,  # cbz x0, envend
    0x39400003,  # ldrb w3, [x0]
    0x7100047F,  # cmp w3, 1
    0x54FFFF81,  # b.ne env
    0x91000400,  # add x0, x0, 1
    0xF8008440,  # str x0, [x2], 8
    0x17FFFFF9,  # b env
    0xF9000040,  # envend: str x0, [x2]
    0xAA1403F6,  # mov x22, x20
    0xF84086C0,  # sep: ldr x0, [x22], 8
    0x39400003,  # ldrb w3, [x0]
    0x35FFFFC3,  # cbnz w3, sep
    0xF900027F,  # str xzr, [x19]
    0xD2882220,  # mov x0, CLONE_VM | CLONE_VFORK | SIGCHLD
    0xD2800001,  # mov x1, 0
    0xD2800002,  # mov x2, 0
    0xD2800003,  # mov x3, 0
    0xD2800004,  # mov x4, 0
    0xD2801B88,  # mov x8, 220 (clone)
    0xD4000001,  # svc 0
    0xB7F801C0,  # tbnz x0, 63, exit
    0xB40001E0,  # cbz x0, child
    0xF9400A78,  # ldr x24, [x19, 16]
    0x91008F01,  # add x1, x24, 35
    0x94000024,  # bl digits
    0xB9400260,  # ldr w0, [x19]
    0x9100E301,  # add x1, x24, 56
    0x94000021,  # bl digits
    0xD2800060,  # mov x0, 3
    0xAA1803E1,  # mov x1, x24
    0xD2800742,  # mov x2, 58
    0xD2800808,  # mov x8, 64 (write)
    0xD4000001,  # svc 0
    0xD2800000,  # mov x0, 0
    0xD2800BC8,  # exit: mov x8, 94
    0xD4000001,  # svc 0
    0x52800057,  # child: mov w23, 2 (ENOENT)
    0xD2800060,  # mov x0, 3
    0xD2800041,  # mov x1, 2 (F_SETFD)
    0xD2800022,  # mov x2, 1 (FD_CLOEXEC)
    0xD2800328,  # mov x8, 25 (fcntl)
    0xD4000001,  # svc 0
    0xF8408680,  # next: ldr x0, [x20], 8
    0x39400003,  # ldrb w3, [x0]
    0x340001A3,  # cbz w3, fail
    0xAA1603E1,  # mov x1, x22
    0xAA1503E2,  # mov x2, x21
    0xD2801BA8,  # mov x8, 221 (execve)
    0xD4000001,  # svc 0
    0x4B0003E0,  # neg w0, w0
    0x7100081F,  # cmp w0, 2
    0x54FFFEE0,  # b.eq next
    0x7100501F,  # cmp w0, 20
    0x54FFFEA0,  # b.eq next
    0x2A0003F7,  # mov w23, w0
    0x7100341F,  # cmp w0, 13
    0x54FFFE40,  # b.eq next
    0xB9000277,  # fail: str w23, [x19]
    0x2A1703E0,  # mov w0, w23
    0x17FFFFE7,  # b exit
    0x52800145,  # digits: mov w5, 10
    0x1AC50803,  # digit: udiv w3, w0, w5
    0x1B058064,  # msub w4, w3, w5, w0
    0x1100C084,  # add w4, w4, 48
    0x381FF424,  # strb w4, [x1], -1
    0x2A0303E0,  # mov w0, w3
    0x35FFFF60,  # cbnz w0, digit
    0xD65F03C0,  # ret
)

_TEXTS = {
    "x86_64": (_EM_X86_64, _X86_64),
    "aarch64": (_EM_AARCH64, struct.pack(f"<{len(_AARCH64)}I", *_AARCH64)),
}
