import re
from pathlib import Path

import pytest

from dockerlab.kernel.syscallnumbers import ARCHITECTURES, X32_SYSCALL_BIT, numbers

HEADERS = Path("/usr/include/x86_64-linux-gnu/asm")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_number_has_one_name(architecture: str) -> None:
    table = numbers(architecture)
    assert len(table) == len(set(table.values()))
    assert len(table) > 300


def test_numbers_of_x32_have_its_bit() -> None:
    assert all(number >= X32_SYSCALL_BIT for number in numbers("x32").values())


def test_since_451_all_architectures_agree() -> None:
    tables = [numbers(each) for each in ARCHITECTURES if each != "x32"]
    newer = [{k: v for k, v in table.items() if 451 <= v < 600} for table in tables]
    assert newer[0]["mseal"] == 462
    assert all(each == newer[0] for each in newer)


@pytest.mark.parametrize(
    ("header", "architecture"), [("unistd_64.h", "x86_64"), ("unistd_32.h", "i386")]
)
def test_numbers_are_those_of_the_kernel_headers(header: str, architecture: str) -> None:
    path = HEADERS / header
    if not path.exists():
        pytest.skip("no kernel headers for x86 here")
    table = numbers(architecture)
    defined = re.findall(r"#define __NR_(\w+) (\d+)", path.read_text(encoding="ascii"))
    assert len(defined) > 300
    assert {name: int(number) for name, number in defined}.items() <= table.items()
