"""Classic BPF: a small assembler for the programs that seccomp runs.

A program is built from its end: jumps of classic BPF go forward only, so whatever an instruction
goes to is there already when the instruction is added. `Assembler` gives each instruction a
handle, takes handles as the targets of jumps, and inserts what the eight-bit offsets need.

What a program means for system calls is `runtime.seccomp`'s business. See seccomp(2), bpf(4) of the
BSDs, and linux/filter.h.
"""

import struct

__all__ = ["JEQ", "JGE", "JGT", "Assembler"]

# linux/bpf_common.h: instruction classes with size, mode, operation and source.
_LD_W_ABS = 0x20
_ALU_AND_K = 0x54
_RET_K = 0x06
_JMP_JA = 0x05
JEQ = 0x15
JGT = 0x25
JGE = 0x35

# The offsets of a conditional jump are eight bits wide; one step is kept back, for what has to be
# added to reach the one target moves the other away.
_FARTHEST = 254

# BPF_MAXINSNS: what the kernel accepts.
_MOST_INSTRUCTIONS = 4096


class Assembler:
    """A program that grows from its last instruction to its first."""

    def __init__(self) -> None:
        # From the end: the handle of an instruction is its place in this list, counted from 1.
        self._instructions: list[tuple[int, int, int, int]] = []
        # By verdict: the handle that was given out, and the copy added last.
        self._answers: dict[int, int] = {}
        self._nearest: dict[int, int] = {}

    def answer(self, verdict: int) -> int:
        """Add ``return verdict``; there is one handle for each verdict."""
        if verdict not in self._answers:
            self._answers[verdict] = self._add_answer(verdict)
        return self._answers[verdict]

    def load(self, offset: int, then: int) -> int:
        """Add ``A = 32 bits at offset``, followed by the instruction `then`."""
        self._fall_into(then)
        return self._add(_LD_W_ABS, offset)

    def mask(self, bits: int, then: int) -> int:
        """Add ``A &= bits``, followed by the instruction `then`."""
        self._fall_into(then)
        return self._add(_ALU_AND_K, bits)

    def jump(self, operation: int, number: int, if_true: int, if_false: int) -> int:
        """Add a comparison of A, unsigned, with a number (`JEQ`, `JGT`, `JGE`).

        Returns
        -------
        int
            Its handle; when both targets are one, theirs, because then there is nothing to compare.
        """
        if if_true == if_false:
            return if_true
        if_true, if_false = self._reach(if_true), self._reach(if_false)
        return self._add(operation, number, self._distance(if_true), self._distance(if_false))

    def assemble(self, entry: int) -> bytes:
        """Return the program that begins with the instruction `entry`, as ``struct sock_filter``.

        Raises
        ------
        ValueError
            When it is longer than the kernel accepts.
        """
        self._fall_into(entry)
        if len(self._instructions) > _MOST_INSTRUCTIONS:
            raise ValueError(
                f"the program has {len(self._instructions)} instructions,"
                f" the kernel accepts {_MOST_INSTRUCTIONS}"
            )
        return b"".join(
            struct.pack("=HBBI", code, if_true, if_false, number)
            for code, number, if_true, if_false in reversed(self._instructions)
        )

    def _distance(self, target: int) -> int:
        """Return how many instructions are between the next one to be added and `target`."""
        return len(self._instructions) - target

    def _fall_into(self, target: int) -> None:
        if self._distance(target):
            self._add_jump(target)

    def _reach(self, target: int) -> int:
        """Return a handle that a conditional jump can reach and that does the same as `target`.

        A copy of a return is as long as a jump to the first one, and one step less to run.
        """
        code, number, _, _ = self._instructions[target - 1]
        if code == _RET_K:
            target = self._nearest[number]
        if self._distance(target) <= _FARTHEST:
            return target
        return self._add_answer(number) if code == _RET_K else self._add_jump(target)

    def _add_answer(self, verdict: int) -> int:
        self._nearest[verdict] = self._add(_RET_K, verdict)
        return self._nearest[verdict]

    def _add_jump(self, target: int) -> int:
        return self._add(_JMP_JA, self._distance(target))

    def _add(self, code: int, number: int, if_true: int = 0, if_false: int = 0) -> int:
        self._instructions.append((code, number, if_true, if_false))
        return len(self._instructions)
