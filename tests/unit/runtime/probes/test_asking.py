"""A probe is asked in a child: whatever it does there is an answer, and nothing else."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from dockerlab.runtime.probes.asking import Finding, Host, Probe, Refused, ask, doing, in_child

HOST = Host("/", "/usr/bin/python3", os.defpath)


def fail(_host: Host) -> Finding:
    with doing("opening it", lacks="file"):
        raise PermissionError(errno.EACCES, "no")


def hang(_host: Host) -> Finding:
    if os.fork() == 0:
        time.sleep(60)
    time.sleep(60)
    return Finding("")


def die(_host: Host) -> Finding:
    os.kill(os.getpid(), signal.SIGKILL)
    return Finding("")


def blunder(_host: Host) -> Finding:
    raise ValueError("a fault of ours")


def test_a_yes_has_its_reason_and_facts() -> None:
    answer = ask(Probe("x", "X", lambda _: Finding("it works", {"count": 3})), HOST)

    assert answer == ("x", True, "it works", "", {"count": 3})


def test_a_no_names_the_step_and_the_errno() -> None:
    answer = ask(Probe("x", "X", fail), HOST)

    assert answer == (
        "x",
        False,
        "opening it: permission denied (EACCES)",
        "EACCES",
        {"lacks": "file"},
    )


def test_a_probe_that_hangs_is_a_no_and_its_children_are_gone() -> None:
    began = time.monotonic()

    answer = ask(Probe("x", "X", hang, timeout_s=0.3), HOST)

    assert time.monotonic() - began < 3
    assert answer.reason == "no answer within 0.3 s (ETIMEDOUT)"


@pytest.mark.parametrize(
    ("act", "reason"),
    [(die, "it ended without an answer"), (blunder, "ValueError: a fault of ours")],
)
def test_a_probe_that_breaks_is_a_no(act: object, reason: str) -> None:
    answer = ask(Probe("x", "X", act), HOST)  # type: ignore[arg-type]

    assert (answer.ok, answer.reason) == (False, reason)


def test_what_a_probe_changes_is_gone_with_it() -> None:
    here = Path.cwd()

    def move(_host: Host) -> Finding:
        os.chdir("/proc")
        return Finding(str(Path.cwd()))

    assert ask(Probe("x", "X", move), HOST).reason == "/proc"
    assert Path.cwd() == here


def test_refusals_pass_through_nested_children() -> None:
    def refuse() -> Finding:
        raise Refused("no", errno.EPERM, why="because")

    with pytest.raises(Refused) as caught:
        in_child(lambda: in_child(refuse))

    assert (caught.value.number, caught.value.facts) == (errno.EPERM, {"why": "because"})
