"""Unprivileged users of this host, made for a test and removed behind it, who can run the package.

The checkout and its environment may lie where others may not look (root's home), so what a user
needs is copied: the package, and the libraries that it imports, from where this process has them.
"""

import functools
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dockerlab

__all__ = ["Account", "find_python", "unprivileged_account"]

_OF_REQUESTS = ("certifi", "charset-normalizer", "idna")
_DISTRIBUTIONS = (
    "docker", "tornado", "msgspec", "urllib3", "zstandard", "isal", "requests", "dnslib",
)  # fmt: skip
_FIRST_SUB_ID = 3_000_000
_SUB_IDS = 65_536
_NOBODY = 65_534


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user. `python` is an interpreter that it may execute, `libraries` what to import from.

    Where the interpreter is that of an environment, which has all, `libraries` is None.
    """

    name: str
    uid: int
    gid: int
    home: Path
    python: str
    libraries: Path | None

    @property
    def environ(self) -> dict[str, str]:
        """The environment of its programs."""
        imports = {} if self.libraries is None else {"PYTHONPATH": str(self.libraries)}
        return imports | {
            "HOME": str(self.home),
            "USER": self.name,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @property
    def identity(self) -> dict[str, Any]:
        """Arguments of `subprocess.Popen` that start a program as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "cwd": str(self.home)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments as this user."""
        return subprocess.run(
            [self.python, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=self.environ,
            **self.identity,
        )


@functools.cache
def find_python() -> str:
    """Return a Python of this version that every user may execute, or ''."""
    version = f"import sys; print(sys.version_info[:2] == {sys.version_info[:2]})"
    names = (getattr(sys, "_base_executable", ""), "/usr/bin/python3")
    for name in filter(None, names):
        try:
            answer = subprocess.run(
                [name, "-c", version],
                capture_output=True,
                check=False,
                user=_NOBODY,
                group=_NOBODY,
                extra_groups=[],
                env={},
                cwd="/",
            )
        except OSError:
            continue
        if answer.stdout == b"True\n":
            return str(name)
    return ""


@contextmanager
def unprivileged_account(*, has_sub_ids: bool, python: str = "") -> Iterator[Account]:
    """Make a user, with ranges of sub-ids or without; remove it and its processes afterwards.

    Parameters
    ----------
    python : str
        The interpreter of an environment with the package in it (`tests.support.travellers`);
        by default the package and what the engine needs are copied for one that is found.
    """
    name = f"dockerlab-t{os.getpid()}{'s' if has_sub_ids else 'o'}"
    folder = Path(tempfile.mkdtemp(prefix="dl-user-", dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        libraries = None if python else folder / "libraries"
        if libraries is not None:
            _copy_libraries(libraries)
        home = folder / "home"
        _run("useradd", "--system", "--user-group", "--home-dir", str(home), name)
        try:
            if has_sub_ids:
                _add_sub_ids(name)
            status = _ids_of(name)
            home.mkdir(mode=0o700)
            os.chown(home, *status)
            yield Account(
                name=name,
                uid=status[0],
                gid=status[1],
                home=home,
                python=python or find_python(),
                libraries=libraries,
            )
        finally:
            _end_processes(status[0])
            # Forced: processes that have ended may still await their parent.
            _run("userdel", "--force", name)
            shutil.rmtree(
                Path(tempfile.gettempdir()) / f"dockerlab-{status[0]}", ignore_errors=True
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _add_sub_ids(name: str) -> None:
    first = _FIRST_SUB_ID
    taken = [
        int(start) + int(count)
        for path in ("/etc/subuid", "/etc/subgid")
        for start, count in re.findall(r":(\d+):(\d+)$", Path(path).read_text(), re.MULTILINE)
    ]
    first = max([first, *taken])
    ids = f"{first}-{first + _SUB_IDS - 1}"
    _run("usermod", "--add-subuids", ids, "--add-subgids", ids, name)


def _copy_libraries(target: Path) -> None:
    package = Path(dockerlab.__file__).parent
    shutil.copytree(package, target / "dockerlab", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*_DISTRIBUTIONS, *_OF_REQUESTS):
        for file in importlib.metadata.files(name) or []:
            if ".." in file.parts or "__pycache__" in file.parts:
                continue
            place = target / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(str(file.locate())), place)
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _ids_of(name: str) -> tuple[int, int]:
    import pwd

    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


def _end_processes(uid: int) -> None:
    """Kill what a failed test left of this user."""
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and process.stat().st_uid == uid:
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:  # it ended meanwhile
            continue


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
