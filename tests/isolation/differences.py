"""In which facts our engine is known to differ from dockerd, and why; the page that says so."""

from dataclasses import dataclass

__all__ = ["BOTH", "DIFFERENCES", "PAGE", "ROOTFUL", "ROOTLESS", "Difference", "page"]

PAGE = "docs/isolation.md"
ROOTFUL, ROOTLESS = "as root", "without root"
BOTH = (ROOTFUL, ROOTLESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Why a fact differs from dockerd's.

    Parameters
    ----------
    tiers : tuple of str
        Where it does.
    reason : str
        The justification.
    is_passing : bool
        Another dockerd, kernel or host may agree with us.
    """

    reason: str
    tiers: tuple[str, ...] = BOTH
    is_passing: bool = False


def _stricter(reason: str) -> Difference:
    return Difference(reason=f"stricter: {reason}", is_passing=True)


def _rootless(reason: str) -> Difference:
    return Difference(reason=reason, tiers=(ROOTLESS,))


_DATED = "as current dockerd; Debian 12 has 20.10"
_NODES = _rootless("in a user namespace the kernel makes no device nodes; the usual ones are bound")
_LIMITS = _rootless("without a cgroup of the user's own, limits are refused with the remedy")

DIFFERENCES: dict[str, Difference] = {
    "call io_uring_setup": _stricter(f"the filter stops it, {_DATED}"),
    "call process_vm_readv": Difference(
        reason=f"allowed from Linux 4.8 on, as ptrace is, {_DATED}", is_passing=True
    ),
    "fork bomb": _LIMITS,
    "make a block device": _NODES,
    "make a character device": _NODES,
    "masked /proc/interrupts": _stricter(f"it tells when keys are pressed; masked {_DATED}"),
    "mounts that spread": _stricter("no mount of the host's arrives in a running container"),
    "namespace cgroup": _stricter("its own on cgroup v1 too, where dockerd shares the host's"),
    "namespace user": _rootless("root in the container is the user outside"),
    "open a block device": _NODES,
    "open a character device": _NODES,
    "socket AF_ALG": _stricter(f"the filter stops it, {_DATED}"),
    "socket AF_VSOCK": _stricter(f"the filter stops it, {_DATED}"),
    "socket ping": _rootless(
        "not all groups have an id in the user namespace, so none is named for it, as in Docker's"
    ),
    "too much memory": _LIMITS,
    "uid map": _rootless("ids of the user's own and of its ranges only"),
    "write below /sys/fs/cgroup": _stricter("nothing can be made among the cgroup's folders"),
}

_HEAD = """\
# What a container is kept from, measured from inside

`tests/isolation/inside.py` is a program that runs in a container and reports {facts} facts: its
namespaces, capabilities and signals, what the system call filter and the kernel answer to {calls}
calls, what is masked, read-only and mounted how, which devices there are and what may be done with
one of its own making, descriptors, environment and limits; two more runs try a fork bomb and too
much memory. It runs on dockerd, on our engine as root, and on our engine as an ordinary user with
ranges of sub-ids and no cgroup. Everything that is not in this table is the same on all three. A
difference that is not listed here fails the test, and so does a line that is no longer true (where
it depends on the age of dockerd or on the host, it may be).

`python -m tests.isolation` writes this page from `tests/isolation/differences.py`. What is
promised, and where each promise is tested, is in [security.md](security.md).

| fact | where | why |
|---|---|---|
"""


def page(facts: int, calls: int) -> str:
    """Return the page for so many facts, of which so many are system calls."""
    rows = [
        f"| {name} | {' and '.join(known.tiers)} | {known.reason} |\n"
        for name, known in sorted(DIFFERENCES.items())
    ]
    return _HEAD.format(facts=facts, calls=calls) + "".join(rows)
