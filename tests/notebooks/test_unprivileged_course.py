"""The main job as an ordinary user: the demonstration and lesson 1, with sub-ids and with one id."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support.probes import why_not
from tests.support.travellers import Traveller, traveller

# The time includes that of making the environment, once a session.
pytestmark = [pytest.mark.needs_rootless, pytest.mark.notebook, pytest.mark.timeout(500)]

TIERS = {True: "rootless", False: "rootless, one id"}
LESSON = "notebooks/01-hello-world.ipynb"

EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
where = {"metadata": {"path": sys.argv[1].rpartition("/")[0]}}
nbclient.NotebookClient(notebook, timeout=60, resources=where).execute()
nbformat.write(notebook, sys.argv[1])
"""


@pytest.fixture(scope="module", params=TIERS, ids=["sub-ids", "one id"])
def user(request: pytest.FixtureRequest, environment: str) -> Iterator[Traveller]:
    if request.param and (reason := why_not("needs_newuidmap")):
        pytest.skip(f"needs_newuidmap: {reason}")
    with traveller(environment, has_sub_ids=request.param) as made:
        yield made


def test_the_demonstration_runs_cold_and_cached(user: Traveller) -> None:
    done = user.run("scripts/demo.py")

    assert (done.returncode, done.stderr) == (0, "")
    first, timeline, second, compared = done.stdout.split("\nIn [")[1:]
    phases = [text.strip().splitlines()[-1].partition(" · ") for text in (first, second)]
    assert "Unable to find image 'hello-world:latest' locally" in first
    assert "Status: Downloaded newer image for hello-world:latest" in first
    assert phases[0][0] == "cold"
    assert ": pull " in phases[0][2]
    assert f"tier {_tier(user)}, image hello-world:latest, temperature cold" in timeline
    assert "Pulling" not in second
    assert phases[1][0] == "cached"
    assert ": create " in phases[1][2]
    assert "hello-world: 5 cold and 5 cached runs in turn" in compared
    assert "cold          5 " in compared
    assert "cached        5 " in compared
    picture = (user.checkout / "demo/hello-world.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n")
    assert len(picture) > 20_000
    # The engine's log is kept for who wants to read on; its data root is not.
    assert [path.name for path in (user.checkout / ".demo").iterdir()] == ["engine.log"]
    _check_nothing_is_left(user)


def test_lesson_1_runs_with_the_engine_of_the_user(user: Traveller) -> None:
    try:
        done = user.run("-c", EXECUTE, LESSON)
        assert done.returncode == 0, done.stderr
        status = user.run("-m", "dockerlab", "engine", "status").stdout
    finally:
        stopped = user.run("-m", "dockerlab", "engine", "stop")

    assert stopped.returncode == 0, stopped.stderr
    root = user.account.home / ".local/share/dockerlab"
    facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert facts["tier"].strip().startswith(_tier(user) + ("" if _has_sub_ids(user) else " ("))
    assert str(root) in status
    notebook: Any = nbformat.read(user.checkout / LESSON, as_version=4)
    texts = {cell.id: _text(cell) for cell in notebook.cells if cell.cell_type == "code"}
    assert "Pulling from library/hello-world" in texts["first-run"]
    assert "Pulling" not in texts["second-run"]
    assert f"tier {_tier(user)}, image hello-world:latest" in texts["first-timeline"]
    # Nobody has handed this user a cgroup.
    assert "no limits here" in texts["isolation-look"]
    assert "exit code" not in texts["isolation-look"]
    _check_nothing_is_left(user)
    reset = user.run("-m", "dockerlab", "engine", "reset", "--yes")
    assert reset.returncode == 0, reset.stderr
    assert not root.exists()


def _tier(user: Traveller) -> str:
    return TIERS[_has_sub_ids(user)]


def _has_sub_ids(user: Traveller) -> bool:
    return user.account.name.endswith("s")


def _text(cell: Any) -> str:
    return "".join(
        "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))
        for output in cell.outputs
    )


def _check_nothing_is_left(user: Traveller) -> None:
    account = user.account
    assert _processes(account.uid) == []
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    assert str(account.home) not in mounts
    own = Path(f"/tmp/dockerlab-{account.uid}")
    found = [
        path
        for place in ("/tmp", "/var/tmp", "/run", "/dev/shm")
        for path in _files_of(place, account.uid, skip=account.home)
    ]
    # The runtime folder is the user's, as /run/user/UID is; nothing is in it.
    assert [path for path in found if path != own] == []


def _processes(uid: int) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and process.stat().st_uid == uid:
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z":  # it has ended, and awaits its parent
                    found.append((process / "cmdline").read_text())
        except OSError:  # it ended meanwhile
            continue
    return found


def _files_of(place: str, uid: int, *, skip: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(place):
        inner[:] = [name for name in inner if Path(folder, name) != skip]
        for name in (*inner, *names):
            path = Path(folder, name)
            try:
                if path.lstat().st_uid == uid and not stat.S_ISLNK(path.lstat().st_mode):
                    yield path
            except OSError:
                continue
