"""The main job of a user who may make no namespace: the demonstration and lesson 1, under PRoot."""

import functools
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest

from tests.notebooks.test_unprivileged_course import EXECUTE, LESSON
from tests.support.tiers import deny_user_namespaces
from tests.support.travellers import Traveller, traveller

# The time includes that of making the environment, once a session.
pytestmark = [
    pytest.mark.needs_rootless,
    pytest.mark.needs_proot,
    pytest.mark.notebook,
    pytest.mark.timeout(500),
]


@pytest.fixture(scope="module")
def user(environment: str) -> Iterator[Traveller]:
    with traveller(environment, has_sub_ids=False) as made:
        yield made


def test_the_demonstration_runs_and_says_that_its_times_are_emulated(user: Traveller) -> None:
    done = user.run("scripts/demo.py", before_exec=deny_user_namespaces)

    assert (done.returncode, done.stderr) == (0, "")
    first, timeline, second, compared = done.stdout.split("\nIn [")[1:]
    phases = [text.strip().splitlines()[-1].partition(" · ") for text in (first, second)]
    assert [phase[0] for phase in phases] == ["cold, emulated", "cached, emulated"]
    assert "Hello from" in second
    assert "tier ptrace, image hello-world:latest, temperature cold" in timeline
    assert "rootfs" in timeline
    assert "(emulated)" in compared
    assert (user.checkout / "demo/hello-world.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_lesson_1_runs_with_the_engine_of_the_user(user: Traveller) -> None:
    run = functools.partial(user.run, before_exec=deny_user_namespaces)
    try:
        done = run("-c", EXECUTE, LESSON)
        assert done.returncode == 0, done.stderr
        status = run("-m", "dockerlab", "engine", "status").stdout
    finally:
        stopped = run("-m", "dockerlab", "engine", "stop")

    assert stopped.returncode == 0, stopped.stderr
    facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert facts["tier"].strip().startswith("ptrace (")
    notebook: Any = nbformat.read(user.checkout / LESSON, as_version=4)
    texts = {
        cell.id: "".join(
            "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))
            for output in cell.outputs
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    assert "Pulling from library/hello-world" in texts["first-run"]
    assert "tier ptrace, image hello-world:latest" in texts["first-timeline"]
    assert "no limits here" in texts["isolation-look"]
    reset = run("-m", "dockerlab", "engine", "reset", "--yes")
    assert reset.returncode == 0, reset.stderr
