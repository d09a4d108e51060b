"""An interrupt is told in one sentence and stops the cells behind it."""

import pytest

from dockerlab.notebook.interrupt import Interrupted, interruptible


def test_it_says_what_was_stopped() -> None:
    with pytest.raises(Interrupted, match="interrupted: the pull"), interruptible("the pull"):
        raise KeyboardInterrupt


def test_it_is_a_keyboard_interrupt_without_traceback() -> None:
    error = Interrupted("interrupted: x")

    assert isinstance(error, KeyboardInterrupt)
    assert error._render_traceback_() == ["interrupted: x"]


def test_the_innermost_sentence_wins() -> None:
    with (
        pytest.raises(Interrupted, match="inner"),
        interruptible("outer"),
        interruptible("inner"),
    ):
        raise KeyboardInterrupt
