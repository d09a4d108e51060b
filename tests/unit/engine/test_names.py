"""Names and ids of containers."""

import pytest

from dockerlab.engine.names import check_name, choose_name, new_id
from dockerlab.errors import InvalidArgument


def test_an_id_has_64_hex_digits_and_does_not_read_as_a_number() -> None:
    ids = {new_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(len(each) == 64 and not each[:12].isdigit() for each in ids)


def test_a_chosen_name_is_free() -> None:
    taken: set[str] = set()
    for _ in range(300):
        name = choose_name(taken)
        assert name not in taken
        assert check_name(name) == name
        taken.add(name)


def test_the_slash_that_clients_send_is_not_part_of_the_name() -> None:
    assert check_name("/web.1") == "web.1"


@pytest.mark.parametrize("name", ["", "/", "a", "-a", "a b", "a/b", "ü1", "a\n"])
def test_names_outside_dockers_grammar_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="only \\[a-zA-Z0-9\\]"):
        check_name(name)
