"""Unprivileged users who have installed the package and have its checkout in their home.

A pytest plugin: `environment` is one installation a session, as the README has it, by Debian's own
Python and where every user can execute it; `traveller` makes a user of it.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.accounts import Account, unprivileged_account

__all__ = ["Traveller", "environment", "traveller"]

# What a user's fresh clone has, as far as a user runs it.
_CHECKOUT = ("notebooks", "scripts", "Makefile", "README.md", "pyproject.toml")
_ROOT = Path(__file__).parents[2]
_PYTHON = "/usr/bin/python3"
_INSTALL_TIMEOUT_S = 300
_ENOUGH_BYTES = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Traveller:
    """A user with the package in `account.python`, and a checkout of their own."""

    account: Account
    checkout: Path

    def run(
        self,
        *arguments: str,
        before: Sequence[str] = (),
        before_exec: Callable[[], None] | None = None,
        timeout_s: float = 100,
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in the checkout as this user.

        Parameters
        ----------
        arguments : str
            Python's.
        before : sequence of str
            A command that the interpreter's is appended to, such as ``unshare --net``.
        before_exec : callable
            Takes something away from this user's host, in the forked process.
        """
        account = self.account
        return subprocess.run(
            [*before, account.python, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            preexec_fn=before_exec,
            env=account.environ,
            **account.identity | {"cwd": str(self.checkout)},
        )


@pytest.fixture(scope="session")
def environment() -> Iterator[str]:
    """Install the package with what `make demo` needs; give the environment's Python."""
    folder = Path(tempfile.mkdtemp(prefix="dl-environment-", dir=_place()))
    try:
        folder.chmod(0o755)
        python = str(folder / "bin/python")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in (
            [_PYTHON, "-m", "venv", str(folder)],
            [*pip, "--root-user-action=ignore", f"{_ROOT}[demo]"],
        ):
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_INSTALL_TIMEOUT_S,
                check=False,
                umask=0o022,
                env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            )
            if done.returncode:
                pytest.skip(f"needs_installation: {done.stderr.strip().splitlines()[-1:]}")
        yield python
    finally:
        shutil.rmtree(folder)


def _place() -> str:
    """Return a folder for some hundred megabytes that engines need not flush to a disk."""
    try:
        status = os.statvfs("/dev/shm")
    except OSError:
        return "/var/tmp"
    is_large = status.f_bavail * status.f_frsize > _ENOUGH_BYTES
    return "/dev/shm" if is_large and not status.f_flag & os.ST_NOEXEC else "/var/tmp"


@contextmanager
def traveller(python: str, *, has_sub_ids: bool) -> Iterator[Traveller]:
    """Make a user for the environment's `python`; all that is theirs is removed afterwards."""
    with unprivileged_account(has_sub_ids=has_sub_ids, python=python) as account:
        checkout = account.home / "checkout"
        checkout.mkdir()
        for name in _CHECKOUT:
            source = _ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, checkout / name)
        for path in [checkout, *checkout.rglob("*")]:
            os.chown(path, account.uid, account.gid)
        yield Traveller(account=account, checkout=checkout)
