"""The tree of errors is the tree that its module draws."""

import re

import pytest

from dockerlab import errors
from dockerlab.errors import CommandNotExecutable, CommandNotFound, DockerlabError, ImageNotFound


def test_every_error_is_drawn_and_exported() -> None:
    drawn = set(re.findall(r"[A-Z][A-Za-z]+", str(errors.__doc__).partition("Kinds")[0]))
    there = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, DockerlabError)
    }

    assert there == set(errors.__all__)
    assert there <= drawn


def test_a_notebook_shows_the_sentence_and_the_hint_only() -> None:
    error = DockerlabError("it failed", hint="try again")

    assert error._render_traceback_() == ["it failed", "hint: try again"]
    assert DockerlabError("it failed")._render_traceback_() == ["it failed"]


def test_clients_find_their_phrase() -> None:
    assert str(ImageNotFound("x:latest")) == "No such image: x:latest"


@pytest.mark.parametrize(("kind", "code"), [(CommandNotExecutable, 126), (CommandNotFound, 127)])
def test_a_failed_start_has_dockers_exit_code(kind: type[errors.StartFailure], code: int) -> None:
    assert kind("it failed", step="exec", errno=2).exit_code == code
