"""The user namespace of an engine without root: which ids it has, and who gives them.

Not import-light: this file runs in the daemon, which stays outside the namespace; the zygote enters
it (`runtime.holder`). More ids than the user's own come from newuidmap(1) and newgidmap(1), within
the ranges of subuid(5) and subgid(5). See user_namespaces(7).
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from dockerlab.errors import EngineFailure
from dockerlab.runtime.subids import SUBGID, SUBUID, IdRange, read_ranges, stacked, user_name

__all__ = ["ONE_ID", "ROOTLESS", "Mapping", "find_mapping", "single_mapping"]

# The names of the tiers without root.
ROOTLESS = "rootless"
ONE_ID = "rootless, one id"

# Not the daemon's own PATH: what grants ids is the system's.
_PROGRAM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_PROGRAM_TIMEOUT_S = 10.0


class Mapping(NamedTuple):
    """Which ids of the host the ids in the namespace are; root in it is the user itself."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]

    @property
    def has_one_id(self) -> bool:
        """Tell whether root is the only user in it."""
        return len(self.uids) == 1 and self.uids[0].length == 1

    def has_gid(self, gid: int) -> bool:
        """Tell whether the group exists in the namespace."""
        return any(row.inside <= gid < row.inside + row.length for row in self.gids)

    def describe(self) -> str:
        """Return it in one line, for the stamp of a data root.

        Examples
        --------
        >>> uids = (IdRange(0, 1000, 1), IdRange(1, 100000, 65536))
        >>> Mapping(uids, (IdRange(0, 100, 1),)).describe()
        'uids 0:1000:1 1:100000:65536 gids 0:100:1'
        """
        uids, gids = (
            " ".join(":".join(map(str, row)) for row in rows) for rows in (self.uids, self.gids)
        )
        return f"uids {uids} gids {gids}"

    def write(self, pid: int) -> None:
        """Give the ids to the new user namespace of a process.

        Raises
        ------
        EngineFailure
            The host refuses; the message has the reason.
        """
        if self.has_one_id:
            _write_alone(pid, self)
            return
        for program, rows in (("newuidmap", self.uids), ("newgidmap", self.gids)):
            _run(program, pid, rows)


def single_mapping() -> Mapping:
    """Return the mapping that needs nobody's permission: this user and its group, as root."""
    return Mapping((IdRange(0, os.geteuid(), 1),), (IdRange(0, os.getegid(), 1),))


def find_mapping() -> tuple[Mapping, str]:
    """Return the largest mapping that the host's files allow this user, and why not a larger one.

    Returns
    -------
    mapping, reason
        The reason is '' with sub-ids, and a sentence with one id alone.
    """
    missing = [name for name in ("newuidmap", "newgidmap") if _program(name) is None]
    if missing:
        return single_mapping(), f"{missing[0]} is not installed (apt install uidmap)"
    name = user_name()
    uids, gids = (_ranges(path, name) for path in (SUBUID, SUBGID))
    if not uids or not gids:
        path = SUBGID if uids else SUBUID
        remedy = f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
        return single_mapping(), f'"{path}" has no range for "{name}" (as root: {remedy})'
    alone = single_mapping()
    return Mapping(alone.uids + stacked(uids), alone.gids + stacked(gids)), ""


def _ranges(path: str, name: str) -> list[tuple[int, int]]:
    try:
        return read_ranges(path, name, os.geteuid())
    except OSError:
        return []


def _write_alone(pid: int, mapping: Mapping) -> None:
    # In this order: without a privilege over the host's groups, the kernel takes the map of groups
    # only from who has given up to drop any (CVE-2014-8989).
    try:
        Path(f"/proc/{pid}/uid_map").write_text(_row(mapping.uids), encoding="ascii")
        Path(f"/proc/{pid}/setgroups").write_text("deny", encoding="ascii")
        Path(f"/proc/{pid}/gid_map").write_text(_row(mapping.gids), encoding="ascii")
    except OSError as error:
        raise EngineFailure(f"cannot map ids for a user namespace: {error}") from error


def _row(rows: tuple[IdRange, ...]) -> str:
    return " ".join(map(str, rows[0]))


def _run(program: str, pid: int, rows: tuple[IdRange, ...]) -> None:
    path = _program(program)
    if path is None:
        raise EngineFailure(f"{program} is not installed", "install the package uidmap")
    numbers = [str(number) for row in rows for number in row]
    try:
        done = subprocess.run(
            [path, str(pid), *numbers],
            capture_output=True,
            text=True,
            timeout=_PROGRAM_TIMEOUT_S,
            check=False,
            env={},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineFailure(f"cannot run {program}: {error}") from error
    if done.returncode:
        raise EngineFailure(f"{program} refuses: {done.stderr.strip() or done.returncode}")


def _program(name: str) -> str | None:
    return shutil.which(name, path=_PROGRAM_PATH)
