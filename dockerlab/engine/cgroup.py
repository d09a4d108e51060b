"""Where the cgroup of a container is: its bundle knows, whatever the settings say by now."""

import json
from typing import NamedTuple

from dockerlab.engine.folders import ContainerFolder
from dockerlab.runtime.cgroups import tree
from dockerlab.runtime.cgroups.tree import CgroupTree

__all__ = ["Cgroup", "find_cgroup", "is_frozen"]


class Cgroup(NamedTuple):
    """The host's cgroups and a container's path in them."""

    tree: CgroupTree
    path: str


def find_cgroup(folder: ContainerFolder) -> Cgroup | None:
    """Return the cgroup of a container that runs, None when it has none.

    Parameters
    ----------
    folder : ContainerFolder
        Its bundle: what was written there at its start is in force until its end.
    """
    spec = json.loads((folder.path / "config.json").read_bytes())
    path = spec["linux"].get("cgroupsPath", "")
    return Cgroup(tree.detect(), path) if path else None


def is_frozen(folder: ContainerFolder) -> bool:
    """Tell whether the kernel keeps a container from running."""
    cgroup = find_cgroup(folder)
    return cgroup is not None and cgroup.tree.is_frozen(cgroup.path)
