import pytest

from dockerlab.kernel import ebpf
from dockerlab.oci.runtimespec import DeviceRule
from dockerlab.runtime.cgroups.devicefilter import assemble
from dockerlab.runtime.defaults import device_rules

BLOCK, CHARACTER = 1, 2
MKNOD, READ, WRITE = 1, 2, 4


def decide(rules: list[DeviceRule], kind: int, major: int, minor: int, access: int) -> bool:
    """Run a program of `devicefilter`: the few instructions that `kernel.ebpf` encodes."""
    context = (access << 16 | kind, major, minor)
    program = assemble(rules)
    registers = [0] * 6
    place = 0
    while True:
        code, pair, low, high = program[place], program[place + 1], program[place + 2], 0
        high = program[place + 3]
        offset = low | high << 8
        number = int.from_bytes(program[place + 4 : place + 8], "little")
        target, source = pair & 15, pair >> 4
        place += 8
        match code:
            case 0x61:
                registers[target] = context[offset // 4]
            case 0x54:
                registers[target] &= number
            case 0x74:
                registers[target] >>= number
            case 0xB7:
                registers[target] = number
            case 0xBF:
                registers[target] = registers[source]
            case 0x15:
                place += 8 * offset * (registers[target] == number)
            case 0x55:
                place += 8 * offset * (registers[target] != number)
            case 0x5D:
                place += 8 * offset * (registers[target] != registers[source])
            case _:
                return bool(registers[0])


@pytest.mark.parametrize(
    ("kind", "major", "minor", "access", "is_allowed"),
    [
        (CHARACTER, 1, 3, READ | WRITE, True),
        (CHARACTER, 1, 9, READ, True),
        (CHARACTER, 5, 0, READ | WRITE, True),
        (CHARACTER, 136, 17, READ | WRITE, True),
        (CHARACTER, 1, 1, READ, False),  # /dev/mem
        (CHARACTER, 10, 229, READ | WRITE, False),  # /dev/fuse
        (BLOCK, 8, 0, READ, False),
        (BLOCK, 1, 3, READ, False),
        (BLOCK, 8, 0, MKNOD, True),
        (CHARACTER, 1, 1, MKNOD, True),
        (CHARACTER, 1, 1, MKNOD | READ, False),
    ],
)
def test_docker_devices_are_usable_and_others_are_not(
    kind: int, major: int, minor: int, access: int, *, is_allowed: bool
) -> None:
    assert decide(device_rules(), kind, major, minor, access) == is_allowed


def test_the_last_matching_rule_decides() -> None:
    rules: list[DeviceRule] = [
        {"allow": True, "type": "a"},
        {"allow": False, "type": "c", "major": 10, "access": "w"},
    ]
    assert not decide(rules, CHARACTER, 10, 5, READ | WRITE)
    assert decide(rules, CHARACTER, 10, 5, READ)
    assert decide(rules, CHARACTER, 11, 5, READ | WRITE)


def test_without_a_matching_rule_the_answer_is_no() -> None:
    assert not decide([{"allow": True, "type": "b"}], CHARACTER, 1, 3, READ)


def test_rules_behind_one_for_everything_leave_no_code_that_is_never_reached() -> None:
    everything: DeviceRule = {"allow": False}
    assert len(assemble([{"allow": True, "type": "b"}, everything])) == len(assemble([everything]))


def test_instructions_are_eight_bytes() -> None:
    assert len(ebpf.exit_program()) == len(ebpf.move_imm(0, 1)) == 8
