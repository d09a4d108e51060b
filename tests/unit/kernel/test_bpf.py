import pytest

from dockerlab.kernel import bpf
from tests.support.filters import evaluate

FIRST, SECOND, OTHER = 11, 22, 33


def test_a_jump_takes_the_branch_of_its_comparison() -> None:
    program = bpf.Assembler()
    test = program.jump(bpf.JGE, 100, program.answer(FIRST), program.answer(OTHER))
    code = program.assemble(program.load(0, test))
    assert [evaluate(code, number, 0) for number in (99, 100, 101)] == [OTHER, FIRST, FIRST]


def test_equal_targets_need_no_comparison() -> None:
    program = bpf.Assembler()
    answer = program.answer(FIRST)
    assert program.jump(bpf.JEQ, 1, answer, answer) == answer


def test_a_mask_applies_to_what_was_loaded() -> None:
    program = bpf.Assembler()
    test = program.jump(bpf.JEQ, 0x20, program.answer(FIRST), program.answer(OTHER))
    code = program.assemble(program.load(0, program.mask(0xF0, test)))
    assert [evaluate(code, number, 0) for number in (0x2F, 0x3F)] == [FIRST, OTHER]


def test_targets_farther_than_a_jump_reaches_are_reached() -> None:
    program = bpf.Assembler()
    node = program.load(4, program.jump(bpf.JEQ, 7, program.answer(FIRST), program.answer(OTHER)))
    far = node
    for number in range(600):
        node = program.jump(bpf.JEQ, number, program.answer(SECOND), node)
    node = program.jump(bpf.JEQ, 1000, far, node)
    code = program.assemble(program.load(0, node))
    assert evaluate(code, 1000, 7) == FIRST
    assert evaluate(code, 1000, 8) == OTHER
    assert {evaluate(code, number, 7) for number in range(600)} == {SECOND}
    assert evaluate(code, 601, 7) == FIRST


def test_two_far_targets_of_one_jump_are_reached() -> None:
    program = bpf.Assembler()
    low = program.load(4, program.jump(bpf.JEQ, 7, program.answer(FIRST), program.answer(OTHER)))
    high = program.load(4, program.jump(bpf.JEQ, 8, program.answer(FIRST), program.answer(OTHER)))
    for number in range(300):
        program.jump(bpf.JEQ, number, program.answer(SECOND), program.answer(OTHER))
    code = program.assemble(program.load(0, program.jump(bpf.JGT, 5, high, low)))
    answers = {(number, word): evaluate(code, number, word) for number in (5, 6) for word in (7, 8)}
    assert answers == {(5, 7): FIRST, (5, 8): OTHER, (6, 7): OTHER, (6, 8): FIRST}


def test_a_program_that_the_kernel_would_refuse_is_an_error() -> None:
    program = bpf.Assembler()
    node = program.answer(OTHER)
    for number in range(5000):
        node = program.jump(bpf.JEQ, number, program.answer(FIRST), node)
    with pytest.raises(ValueError, match="the kernel accepts 4096"):
        program.assemble(program.load(0, node))
