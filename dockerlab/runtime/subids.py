"""The ids that the host's administrator has given a user beside its own: subuid(5), subgid(5).

For the engine, which maps them (`usernamespace`), and for the doctor, who tries to (`probes.ids`).
Not here: the mapping itself.
"""

import os
import pwd
from typing import NamedTuple

__all__ = ["SUBGID", "SUBUID", "IdRange", "read_ranges", "stacked", "user_name"]

SUBUID = "/etc/subuid"
SUBGID = "/etc/subgid"


class IdRange(NamedTuple):
    """A row of a map: `length` ids from `inside` on are those from `outside` on."""

    inside: int
    outside: int
    length: int


def read_ranges(path: str, name: str, uid: int) -> list[tuple[int, int]]:
    """Return first id and count of each range of a user.

    Lines that are damaged are passed over, as newuidmap does.

    Raises
    ------
    OSError
        The file cannot be read; where sub-ids are not set up, there is none.
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    found = []
    for line in lines:
        owner, _, numbers = line.partition(":")
        first, _, count = numbers.partition(":")
        if owner in (name, str(uid)) and first.isdecimal() and count.isdecimal() and int(count):
            found.append((int(first), int(count)))
    return found


def stacked(ranges: list[tuple[int, int]]) -> tuple[IdRange, ...]:
    """Lay ranges of the host one behind the other, from id 1 on.

    Examples
    --------
    >>> stacked([(100000, 10), (300000, 5)])
    (IdRange(inside=1, outside=100000, length=10), IdRange(inside=11, outside=300000, length=5))
    """
    rows = []
    inside = 1
    for first, count in ranges:
        rows.append(IdRange(inside, first, count))
        inside += count
    return tuple(rows)


def user_name() -> str:
    """Return this user's name, or its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
