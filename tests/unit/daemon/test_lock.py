import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockerlab.daemon.lock import hold_lock
from dockerlab.errors import Conflict


def test_the_data_root_is_made_for_its_user_alone(tmp_path: Path) -> None:
    root = tmp_path / "a" / "root"
    with hold_lock(root):
        assert root.stat().st_mode & 0o777 == 0o700
        assert (root / "lock").stat().st_mode & 0o777 == 0o600


def test_a_second_holder_is_told_the_first_ones_pid(tmp_path: Path) -> None:
    with hold_lock(tmp_path):
        with (
            pytest.raises(Conflict, match=rf"\(pid {os.getpid()}\)") as raised,
            hold_lock(tmp_path),
        ):
            pass
        assert "--root" in raised.value.hint


def test_the_lock_can_be_had_again(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_lock(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "lock").read_text() == ""


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import sys, os, signal, pathlib\n"
        "from dockerlab.daemon.lock import hold_lock\n"
        "with hold_lock(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=20)
    assert (tmp_path / "lock").read_text()
    with hold_lock(tmp_path):
        pass


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), hold_lock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()
