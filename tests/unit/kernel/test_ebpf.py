import errno
import os

import pytest

from dockerlab.kernel import ebpf

# mov r0, 1; exit
ANSWER_ONE = ebpf.move_imm(0, 1) + ebpf.exit_program()


def test_instructions_are_those_of_the_instruction_set() -> None:
    assert ebpf.load_word(2, 1, 4).hex() == "6112040000000000"
    assert ebpf.move_imm(0, -1).hex() == "b7000000ffffffff"
    assert ebpf.move_reg(1, 3).hex() == "bf31000000000000"
    assert ebpf.if_not_equal_reg(1, 3, 2).hex() == "5d31020000000000"
    assert ebpf.exit_program().hex() == "9500000000000000"


@pytest.mark.needs_root
def test_the_kernel_takes_a_program_that_it_can_follow() -> None:
    descriptor = ebpf.load_device_program(ANSWER_ONE)
    os.close(descriptor)


@pytest.mark.needs_root
@pytest.mark.parametrize("program", [b"", ebpf.move_imm(0, 1), ANSWER_ONE + ANSWER_ONE])
def test_the_kernel_refuses_a_program_that_it_cannot_follow(program: bytes) -> None:
    with pytest.raises(OSError, match="bpf 5") as caught:
        ebpf.load_device_program(program)
    assert caught.value.errno in {errno.EINVAL, errno.E2BIG, errno.EACCES}


@pytest.mark.needs_root
def test_only_a_cgroup_takes_a_device_program() -> None:
    program = ebpf.load_device_program(ANSWER_ONE)
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(OSError, match="bpf 8"):
            ebpf.attach_device_program(folder, program)
    finally:
        os.close(folder)
        os.close(program)
