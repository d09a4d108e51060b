"""The probe of sub-ids: newuidmap, newgidmap and the ranges that this user was given.

See newuidmap(1), subuid(5), user_namespaces(7). Not here: the map of a single id (`namespaces`).
"""

import contextlib
import os
import pwd

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime.probes import programs
from dockerlab.runtime.probes.asking import Finding, Host, Refused, doing, in_child

__all__ = ["sub_ids"]


def sub_ids(host: Host) -> Finding:
    """Map a whole range of ids in a user namespace and become the second of them."""
    tools = {name: programs.find(name, host.path) for name in ("newuidmap", "newgidmap")}
    if missing := [name for name, path in tools.items() if not path]:
        raise Refused(f"no {' and no '.join(missing)} on the PATH", lacks="program")
    uids, gids = _range("/etc/subuid"), _range("/etc/subgid")
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
    return in_child(lambda: _become_second(uids[1], gids[1]))


def _range(path: str) -> tuple[int, int]:
    """Return begin and length of this user's first range."""
    owners = {str(os.geteuid())}
    with contextlib.suppress(KeyError):
        owners.add(pwd.getpwuid(os.geteuid()).pw_name)
    with doing(f'reading "{path}"', lacks="range"), open(path, encoding="utf-8") as file:
        lines = [line.strip().split(":") for line in file]
    for owner, begin, count in (line for line in lines if len(line) == 3):  # noqa: PLR2004
        if owner in owners and begin.isdigit() and count.isdigit() and int(count) > 0:
            return int(begin), int(count)
    raise Refused(f'"{path}" has no line for this user', lacks="range")


def _map_parent(
    tools: dict[str, str], ranges: tuple[tuple[int, int], ...], ready: int, go: int
) -> None:
    """Map the ids of the parent from outside of its namespace, say what went wrong, and end."""
    own = (os.geteuid(), os.getegid())
    said = "it failed"
    try:
        os.read(ready, 1)
        for (name, tool), inner, (begin, count) in zip(tools.items(), own, ranges, strict=True):
            arguments = (str(os.getppid()), "0", str(inner), "1", "1", str(begin), str(count))
            code, said = programs.run(tool, *arguments)
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
