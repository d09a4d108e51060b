"""The command line that others see of this process, in /proc/PID/cmdline and so in ps(1).

The kernel shows the bytes where the arguments of execve(2) lay; whoever writes there changes what
is shown. proc_pid_cmdline(5)
"""

from __future__ import annotations

import ctypes

__all__ = ["find_span", "show"]

# Fields of proc_pid_stat(5), counted from 1; the second, the name, may hold anything up to ")".
_ARG_START, _ARG_END, _FIRST_BEHIND_NAME = 48, 49, 3


def find_span() -> tuple[int, int]:
    """Return first and last address of the arguments of this process.

    To be called while /proc is the host's own: an address out of another file would be written to.
    """
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = (int(fields[number - _FIRST_BEHIND_NAME]) for number in (_ARG_START, _ARG_END))
    return start, end


def show(span: tuple[int, int], words: list[str]) -> None:
    """Show these words as the command line, as many bytes of them as there were arguments."""
    start, end = span
    room = end - start
    if start <= 0 or room <= 0:
        return  # A kernel that does not tell.
    text = "\0".join(words).encode("utf-8", "surrogateescape")[: room - 1]
    ctypes.memmove(start, text.ljust(room, b"\0"), room)
