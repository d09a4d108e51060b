"""One session a kernel, opened at the first need, and other engines are announced."""

from dataclasses import replace
from typing import Any

import pytest

from dockerlab.client.session import Session
from dockerlab.errors import Unavailable
from dockerlab.notebook.connection import Connection


class Closed:
    """docker-py's client as far as a connection knows it."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def session(engine: str) -> Session:
    api: Any = Closed()
    # No unix socket: whether such an engine listens is not looked at.
    return Session(engine=engine, version="1.2", address="tcp://lab:2375", api=api)


class Opener:
    """Opens sessions and counts them."""

    def __init__(self, answer: Session) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, engine: str, *, start: bool = True) -> Session:
        self.asked.append(engine)
        if engine == "broken":
            raise Unavailable(f"nobody there (start={start})")
        return self.answer


def test_the_first_need_opens_and_later_ones_reuse() -> None:
    opener = Opener(session("dockerlab"))
    connection = Connection(opener)
    assert opener.asked == []

    assert connection.session() is connection.session()
    assert opener.asked == [""]


def test_our_own_engine_is_not_announced_and_others_are() -> None:
    said: list[str] = []
    Connection(Opener(session("dockerlab")), said.append).session()
    assert said == []

    Connection(Opener(session("docker")), said.append).session()
    assert said == ["using docker 1.2 at tcp://lab:2375"]


def test_the_reason_for_a_stand_in_is_said_instead() -> None:
    said: list[str] = []
    Connection(Opener(replace(session("docker"), notice="because")), said.append).session()

    assert said == ["because"]


def test_the_engine_before_stays_when_the_chosen_one_does_not_answer() -> None:
    connection = Connection(Opener(session("dockerlab")))
    before = connection.session()

    with pytest.raises(Unavailable):
        connection.choose("broken")

    assert connection.session() is before
