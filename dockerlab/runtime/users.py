"""A Docker user specification, resolved against the passwd and group files of the container.

The files are parsed here and never through the host's libc: its name service would load modules and
read files of whichever root it finds itself in (CVE-2019-14271). What the files say is data of the
image and is not trusted to be well formed.

See passwd(5), group(5), and USER in the Dockerfile reference for the accepted forms.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["UnresolvedUser", "resolve_groups", "resolve_user"]

# What Docker accepts, "for 32-bit systems compatibility".
_LARGEST_ID = 2**31 - 1

# Enough for any id with its sign. Longer digits are out of range without being converted.
_LONGEST_ID = 11

# What stands in for the fields that a line lacks; passwd has the most, seven.
_MISSING_FIELDS = [b""] * 7


class UnresolvedUser(ValueError):
    """A name that is not in the container's files, or an id out of range."""


def resolve_user(spec: str, passwd: bytes, group: bytes) -> tuple[int, int, list[int], str]:
    """Return uid, gid, supplementary gids and home for ``user[:group]``.

    Parameters
    ----------
    spec : str
        Empty (root), a name or an id, and optionally a group's name or id.
    passwd, group : bytes
        Contents of the container's /etc/passwd and /etc/group; empty when there is no file.

    Returns
    -------
    tuple of int, int, list of int, str
        Supplementary groups are those that list the user, and only when no group is named. The
        home is "/" when the user has none.

    Raises
    ------
    UnresolvedUser
        For an unknown name, or an id outside 0 to 2147483647.

    Notes
    -----
    As in Docker, digits are always an id, even where a user has digits for a name, and the first
    of several matching lines wins. Unlike Docker, where it would mean root, a line whose ids are
    not numbers is skipped.

    Examples
    --------
    >>> resolve_user("www", b"www:x:33:34::/var/www:/bin/sh", b"mail:x:8:www")
    (33, 34, [8], '/var/www')
    >>> resolve_user("1000:1001", b"", b"")
    (1000, 1001, [], '/')
    """
    user, _, wanted_group = spec.partition(":")
    # Docker's parser ignores what follows a second colon.
    wanted_group = wanted_group.partition(":")[0]
    name, uid, gid, home = _find_user(user, passwd)
    if wanted_group:
        return uid, _find_group(wanted_group, group), [], home
    groups: list[int] = []
    if name:
        groups = [number for _, number, members in _groups(group) if name in members]
    return uid, gid, groups, home


def resolve_groups(wanted: "Sequence[str]", group: bytes) -> list[int]:
    """Return the gids of additional groups, given by name or id, in order and without repetition.

    Raises
    ------
    UnresolvedUser
        For an unknown name, or an id out of range.
    """
    return list(dict.fromkeys(_find_group(each, group) for each in wanted))


def _find_user(user: str, passwd: bytes) -> tuple[bytes, int, int, str]:
    wanted_uid = _id_in_spec(user) if user else 0
    wanted_name = user.encode(errors="surrogateescape")
    for name, uid, gid, home in _users(passwd):
        if uid == wanted_uid if wanted_uid is not None else name == wanted_name:
            return name, uid, gid, home.decode(errors="surrogateescape") or "/"
    if wanted_uid is None:
        raise UnresolvedUser(f"unable to find user {user}: no matching entries in passwd file")
    return b"", wanted_uid, 0, "/"


def _find_group(wanted: str, group: bytes) -> int:
    wanted_gid = _id_in_spec(wanted)
    if wanted_gid is not None:
        return wanted_gid
    wanted_name = wanted.encode(errors="surrogateescape")
    for name, gid, _ in _groups(group):
        if name == wanted_name:
            return gid
    raise UnresolvedUser(f"unable to find group {wanted}: no matching entries in group file")


def _users(passwd: bytes) -> "Iterator[tuple[bytes, int, int, bytes]]":
    for line in passwd.splitlines():
        # name:password:UID:GID:GECOS:directory:shell; the last ones may be missing.
        fields = line.strip().split(b":") + _MISSING_FIELDS
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None:
            yield fields[0], uid, gid, fields[5]


def _groups(group: bytes) -> "Iterator[tuple[bytes, int, list[bytes]]]":
    for line in group.splitlines():
        # name:password:GID:members
        fields = line.strip().split(b":") + _MISSING_FIELDS
        gid = _number(fields[2])
        if gid is not None and not fields[0].startswith(b"#"):
            yield fields[0], gid, fields[3].split(b",")


def _id_in_spec(text: str) -> int | None:
    """Return the id that a specification gives in digits, or None for a name."""
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    number = _number(text.encode())
    if number is None:
        raise UnresolvedUser(f"uids and gids must be in range 0-{_LARGEST_ID}")
    return number


def _number(text: bytes) -> int | None:
    digits = text.removeprefix(b"+")
    if not digits.isdigit() or len(digits) > _LONGEST_ID:
        return None
    number = int(digits)
    return number if number <= _LARGEST_ID else None
