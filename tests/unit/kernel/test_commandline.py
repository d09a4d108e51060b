"""The command line that others see of a process."""

import subprocess
import sys
from pathlib import Path

import dockerlab
from dockerlab.kernel import commandline

PROGRAM = """
from dockerlab.kernel import commandline
commandline.show(commandline.find_span(), ["/sbin/shown", "--", "word" * {count}])
print(open("/proc/self/cmdline").read(), end="")
"""


def shown(count: int) -> str:
    """Return what a process shows that was started with some hundred bytes of arguments."""
    command = [sys.executable, "-c", PROGRAM.format(count=count), "hidden" * 20]
    path = str(Path(dockerlab.__file__).parents[1])
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    return done.stdout


def test_the_words_are_shown_in_place_of_the_arguments() -> None:
    text = shown(1)

    assert text.rstrip("\0") == "/sbin/shown\0--\0word"
    assert "hidden" not in text


def test_what_has_no_room_is_cut() -> None:
    text = shown(1000)

    assert text.startswith("/sbin/shown\0--\0wordword")
    assert len(text) < 1000


def test_without_a_span_nothing_is_written() -> None:
    before = Path("/proc/self/cmdline").read_bytes()
    commandline.show((0, 0), ["x"])

    assert Path("/proc/self/cmdline").read_bytes() == before
