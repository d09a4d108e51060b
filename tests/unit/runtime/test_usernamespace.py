"""Which ids of the host a user namespace has."""

from dockerlab.runtime.subids import IdRange, stacked
from dockerlab.runtime.usernamespace import Mapping, single_mapping


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
