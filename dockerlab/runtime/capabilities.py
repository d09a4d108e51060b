"""Capabilities by name: numbers, masks, and giving up all but the wanted ones.

Which capabilities a container gets is not decided here: see `runtime.defaults`.

The order in a starting process is that of capabilities(7) and of runc: `limit_bounding` while
CAP_SETPCAP is still there; `keep_across_setuid` before the user changes, or the kernel empties the
permitted set; setgroups, setgid, setuid; `apply` last, because it is what takes the rest away.
"""

import errno

from dockerlab.kernel import privileges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from dockerlab.oci.runtimespec import Capabilities

__all__ = [
    "NAMES",
    "apply",
    "available",
    "keep_across_setuid",
    "known",
    "limit_bounding",
    "names_of",
    "to_mask",
]

# linux/capability.h: the place in the list is the number.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)

# A set is 64 bits wide in the kernel's interface; numbers above the last known one are possible.
_WIDTH = 64


def to_mask(names: "Iterable[str]") -> int:
    """Return the bit mask of some capabilities.

    Raises
    ------
    ValueError
        For a name that no kernel of ours knows.

    Examples
    --------
    >>> hex(to_mask(["CAP_CHOWN", "CAP_KILL"]))
    '0x21'
    """
    mask = 0
    for name in names:
        if name not in NAMES:
            raise ValueError(f'unknown capability: "{name}"')
        mask |= 1 << NAMES.index(name)
    return mask


def names_of(mask: int) -> list[str]:
    """Return the names in a bit mask; bits without a name are left out.

    Examples
    --------
    >>> names_of(0x21)
    ['CAP_CHOWN', 'CAP_KILL']
    """
    return [name for number, name in enumerate(NAMES) if mask >> number & 1]


def known() -> list[str]:
    """Return what this kernel knows: what the first process of a new user namespace has.

    All of it is over what belongs to that namespace only. See user_namespaces(7).
    """
    return [name for number, name in enumerate(NAMES) if _bounding(number) is not None]


def available() -> list[str]:
    """Return what this process may hand on: its permitted and bounding sets together.

    A daemon that runs inside a container has not all of them, and a container cannot get more
    than its daemon has.
    """
    permitted = privileges.capget()[1]
    return [
        name
        for number, name in enumerate(NAMES)
        if permitted >> number & 1 and _is_in_bounding_set(number)
    ]


def limit_bounding(names: "Iterable[str]") -> None:
    """Drop everything else from the bounding set, the upper limit of any later execve.

    Needs CAP_SETPCAP. See PR_CAPBSET_DROP in prctl(2).
    """
    wanted = to_mask(names)
    for number in range(_WIDTH):
        if wanted >> number & 1:
            continue
        try:
            privileges.prctl(privileges.PR_CAPBSET_DROP, number)
        except OSError as error:
            # The kernel's own last capability is found by asking, not from /proc: a newer kernel
            # has some that are not in NAMES, and they must go too.
            if error.errno == errno.EINVAL:
                return
            raise


def keep_across_setuid() -> None:
    """Keep the permitted set when the user changes from 0 to another.

    Without it setuid(2) leaves nothing that `apply` could choose from. The kernel clears the flag
    at execve, so nobody inherits it. See PR_SET_KEEPCAPS in prctl(2).
    """
    privileges.prctl(privileges.PR_SET_KEEPCAPS, 1)


def apply(capabilities: "Capabilities") -> None:
    """Give this process exactly these sets; the bounding set is `limit_bounding`'s.

    Inheritable and ambient sets are empty unless the spec names some: a non-empty inheritable set
    let programs with file capabilities regain dropped ones (CVE-2022-24769).
    """
    privileges.prctl(privileges.PR_CAP_AMBIENT, privileges.PR_CAP_AMBIENT_CLEAR_ALL)
    privileges.capset(
        to_mask(capabilities["effective"]),
        to_mask(capabilities["permitted"]),
        to_mask(capabilities.get("inheritable", [])),
    )
    for name in capabilities.get("ambient", []):
        number = NAMES.index(name)
        privileges.prctl(privileges.PR_CAP_AMBIENT, privileges.PR_CAP_AMBIENT_RAISE, number)


def _is_in_bounding_set(number: int) -> bool:
    return _bounding(number) == 1


def _bounding(number: int) -> int | None:
    try:
        return privileges.prctl(privileges.PR_CAPBSET_READ, number)
    except OSError as error:
        # EINVAL: a name of ours that this kernel is too old to know.
        if error.errno == errno.EINVAL:
            return None
        raise
