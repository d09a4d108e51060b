"""What can be tried without root; the rest is tried by tests/integration/runtime."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dockerlab.kernel import constants, syscalls

IN_ROOT = constants.RESOLVE_IN_ROOT | constants.RESOLVE_NO_MAGICLINKS


@pytest.fixture
def folder(tmp_path: Path) -> int:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/file").write_text("inner")
    (tmp_path / "absolute").symlink_to("/inside/file")
    (tmp_path / "upwards").symlink_to("../../../../inside/file")
    (tmp_path / "magic").symlink_to("/proc/self/fd/0")
    return os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)


@pytest.mark.parametrize("path", ["inside/file", "absolute", "upwards", "../../inside/file"])
def test_every_way_stays_inside_the_root(folder: int, path: str) -> None:
    fd = syscalls.openat2(folder, path, os.O_RDONLY, IN_ROOT)

    assert os.read(fd, 100) == b"inner"
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_link_is_refused_when_links_are(folder: int) -> None:
    with pytest.raises(OSError, match="absolute") as caught:
        syscalls.openat2(folder, "absolute", os.O_PATH, constants.RESOLVE_NO_SYMLINKS)

    assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, "absolute")


def test_a_missing_name_is_a_file_not_found_error(folder: int) -> None:
    with pytest.raises(FileNotFoundError):
        syscalls.openat2(folder, "nothing", os.O_PATH, IN_ROOT)


def test_beneath_refuses_the_way_out(folder: int) -> None:
    with pytest.raises(OSError, match="Invalid cross-device link"):
        syscalls.openat2(folder, "../..", os.O_PATH, constants.RESOLVE_BENEATH)


def test_proc_is_a_proc() -> None:
    fd = os.open("/proc", os.O_RDONLY)

    assert syscalls.filesystem_type(fd) == constants.PROC_SUPER_MAGIC
    assert stat.S_ISDIR(syscalls.fstat(fd).st_mode)
    os.close(fd)


def test_the_calls_that_change_this_process_do() -> None:
    script = """
import os, resource
from dockerlab.kernel import constants, syscalls
syscalls.set_process_name("a-long-process-name")
syscalls.set_dumpable(dumpable=False)
syscalls.setrlimit(constants.RLIMITS["RLIMIT_NOFILE"], 40, 50)
r, w = os.pipe()
syscalls.close_range(w)
print(open("/proc/self/comm").read().strip())
print(resource.getrlimit(resource.RLIMIT_NOFILE))
print(os.path.exists(f"/proc/self/fd/{r}"), os.path.exists(f"/proc/self/fd/{w}"))
"""
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": root},
        check=True,
    )

    assert done.stdout.splitlines() == ["a-long-process-", "(40, 50)", "True False"]


def test_an_empty_range_closes_nothing() -> None:
    syscalls.close_range(5, 4)


def test_what_make_leaves_ignored_is_given_back(tmp_path: Path) -> None:
    script = "from dockerlab.kernel import syscalls; syscalls.forget_internal_signals()"
    script += "; print(open('/proc/self/status').read())"
    makefile = tmp_path / "Makefile"
    makefile.write_text(f'all:\n\t@"{sys.executable}" -c "{script}"\n')

    done = subprocess.run(
        ["make", "--silent", "--file", makefile],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        check=True,
    )

    [ignored] = [line for line in done.stdout.splitlines() if line.startswith("SigIgn")]
    assert int(ignored.split()[1], 16) >> 31 == 0
