"""The probe of sub-ids: newuidmap, newgidmap and the ranges that this user was given.

See newuidmap(1), subuid(5), user_namespaces(7). Not here: the map of a single id (`namespaces`).
"""

import os

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime.probes import programs
from dockerlab.runtime.probes.asking import Finding, Host, Refused, doing, in_child
from dockerlab.runtime.subids import SUBGID, SUBUID, IdRange, read_ranges, stacked, user_name

__all__ = ["sub_ids"]


def sub_ids(host: Host) -> Finding:
    """Map a whole range of ids in a user namespace and become the second of them."""
    tools = {name: programs.find(name, host.path) for name in ("newuidmap", "newgidmap")}
    if missing := [name for name, path in tools.items() if not path]:
        raise Refused(f"no {' and no '.join(missing)} on the PATH", lacks="program")
    uids, gids = _rows(SUBUID), _rows(SUBGID)
    ready, go = os.pipe(), os.pipe()
    mapper = os.fork()
    if mapper == 0:
        _map_parent(tools, (uids, gids), ready[0], go[1])
    os.close(ready[0])
    os.close(go[1])
    with doing("unshare(CLONE_NEWUSER)"):
        syscalls.unshare(constants.CLONE_NEWUSER)
    os.write(ready[1], b"x")
    answer = b""
    while data := os.read(go[0], 4096):
        answer += data
    os.waitpid(mapper, 0)
    if answer:
        raise Refused(answer.decode(errors="replace"), lacks="refused")
    counts = [sum(row.length for row in rows) for rows in (uids, gids)]
    return in_child(lambda: _become_second(*counts))


def _rows(path: str) -> tuple[IdRange, ...]:
    """Return how this user's ranges lie in a namespace, behind the user itself."""
    with doing(f'reading "{path}"', lacks="range"):
        ranges = read_ranges(path, user_name(), os.geteuid())
    if not ranges:
        raise Refused(f'"{path}" has no line for this user', lacks="range")
    return stacked(ranges)


def _map_parent(
    tools: dict[str, str], maps: tuple[tuple[IdRange, ...], ...], ready: int, go: int
) -> None:
    """Map the ids of the parent from outside of its namespace, say what went wrong, and end."""
    own = (os.geteuid(), os.getegid())
    said = "it failed"
    try:
        os.read(ready, 1)
        for (name, tool), outer, rows in zip(tools.items(), own, maps, strict=True):
            numbers = [str(number) for row in (IdRange(0, outer, 1), *rows) for number in row]
            code, said = programs.run(tool, str(os.getppid()), *numbers)
            if code:
                said = said or f"{name} ended with {code}"
                break
        else:
            said = ""
    except (OSError, Refused) as error:
        said = str(error)
    finally:
        os.write(go, said.encode())
        os._exit(0)


def _become_second(uids: int, gids: int) -> Finding:
    with doing("becoming a second user in a user namespace", lacks="refused"):
        os.setgroups([])
        os.setresgid(1, 1, 1)
        os.setresuid(1, 1, 1)
    return Finding(f"{uids} uids and {gids} gids", {"uids": uids, "gids": gids})
