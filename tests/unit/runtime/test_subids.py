"""Reading the ids that an administrator has given a user."""

from pathlib import Path

import pytest

from dockerlab.runtime.subids import read_ranges


def test_ranges_are_found_by_name_and_by_number(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("lab:100000:65536\nother:165536:65536\n1000:300000:10\n")
    assert read_ranges(str(path), "lab", 1000) == [(100000, 65536), (300000, 10)]


@pytest.mark.parametrize("line", ["lab", "lab:1", "lab:a:5", "lab:5:0", "lab:-5:7", ""])
def test_a_damaged_line_gives_no_range(tmp_path: Path, line: str) -> None:
    path = tmp_path / "subuid"
    path.write_text(f"{line}\nlab:100000:5\n")
    assert read_ranges(str(path), "lab", 1000) == [(100000, 5)]


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_ranges(str(tmp_path / "missing"), "lab", 1000)
