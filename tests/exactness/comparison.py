"""What is compared, and what is left out and why."""

import re
from pathlib import Path

from tests.exactness.trees import Facts, differences
from tests.support.engine import EngineUnderTest

__all__ = ["NOTED", "layers_of", "one_id_differences", "root_differences"]

NOTED = "user.dockerlab.owner"

# A root folder that the topmost layer does not name: umoci takes a lower layer's time or 1970,
# overlayfs shows that of the topmost layer's folder. A container's root folder is its own anyway.
_ROOT_TIME = {"": frozenset({"time"})}
_DEVICE = re.compile(r"[bc]")


def layers_of(engine: EngineUnderTest, reference: str) -> list[Path]:
    """Pull an image; return its layers' folders, lowest first."""
    name, _, tag = reference.rpartition(":")
    image = engine.connect().images.pull(name, tag)
    diff_ids = image.attrs["RootFS"]["Layers"]
    return [engine.root / "layers" / diff_id.removeprefix("sha256:") for diff_id in diff_ids]


def root_differences(ours: Facts, theirs: Facts) -> list[str]:
    """Return what differs of two trees that root has unpacked."""
    return differences(ours, theirs, _ROOT_TIME)


def one_id_differences(ours: Facts, theirs: Facts, own: tuple[int, int]) -> list[str]:
    """Return what differs beyond what one id cannot do.

    All files are `own`, with the owner and the mode that they would have noted beside them; device
    nodes are left out; file capabilities, which would be those of another namespace, are compared
    by their being there.
    """
    expected: Facts = {}
    for name, their in theirs.items():
        if _DEVICE.match(their["mode"]):
            continue
        is_own = their["owner"] == [0, 0]
        mode = their["mode"] if is_own else _without_set_ids(their["mode"])
        expected[name] = their | {"mode": mode, "owner": list(own)}
    found = {
        name: our | {"xattrs": {k: v for k, v in our["xattrs"].items() if k != NOTED}}
        for name, our in ours.items()
    }
    for tree in (expected, found):
        for name, one in tree.items():
            attributes = one["xattrs"]
            if "security.capability" in attributes:
                tree[name] = one | {"xattrs": attributes | {"security.capability": "there"}}
    return differences(found, expected, _ROOT_TIME)


def _without_set_ids(mode: str) -> str:
    """Return a mode as `stat.filemode` writes it, without the set-id bits."""
    user = {"s": "x", "S": "-"}.get(mode[3], mode[3])
    group = {"s": "x", "S": "-"}.get(mode[6], mode[6])
    return mode[:3] + user + mode[4:6] + group + mode[7:]
