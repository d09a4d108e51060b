"""Which ids of the host a user namespace has."""

from pathlib import Path

import pytest

from dockerlab.runtime.usernamespace import (
    IdRange,
    Mapping,
    read_ranges,
    single_mapping,
    stacked,
)


def test_ranges_are_found_by_name_and_by_number(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("lab:100000:65536\nother:165536:65536\n1000:300000:10\n")
    assert read_ranges(path, "lab", 1000) == [(100000, 65536), (300000, 10)]


@pytest.mark.parametrize("line", ["lab", "lab:1", "lab:a:5", "lab:5:0", "lab:-5:7", ""])
def test_a_damaged_line_gives_no_range(tmp_path: Path, line: str) -> None:
    path = tmp_path / "subuid"
    path.write_text(f"{line}\nlab:100000:5\n")
    assert read_ranges(path, "lab", 1000) == [(100000, 5)]


def test_without_the_file_there_is_no_range(tmp_path: Path) -> None:
    assert read_ranges(tmp_path / "missing", "lab", 1000) == []


def test_a_group_exists_when_a_row_has_it() -> None:
    alone = single_mapping()
    assert alone.has_one_id
    assert not alone.has_gid(5)
    rows = alone.gids + stacked([(100000, 5)])
    mapping = Mapping(alone.uids + stacked([(100000, 5)]), rows)
    assert not mapping.has_one_id
    assert mapping.has_gid(5)
    assert not mapping.has_gid(6)


def test_two_mappings_have_two_descriptions() -> None:
    one = Mapping((IdRange(0, 1000, 1),), (IdRange(0, 1000, 1),))
    assert one.describe() != single_mapping().describe() or one == single_mapping()
