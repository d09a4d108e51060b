"""The tree of an image in two ways: our layers, laid over one another by overlayfs, and umoci's."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.exactness import facts

__all__ = ["Facts", "differences", "of_layers", "of_umoci"]

Facts = dict[str, dict[str, Any]]

_MOUNT = 'mount -t overlay overlay -o "$1" "$2" && exec "$3" -I "$4" "$2"'


def of_layers(layers: Sequence[Path], *, is_rootless: bool = False) -> Facts:
    """Return the facts of a tree that these folders, lowest first, make together."""
    with tempfile.TemporaryDirectory(prefix="dockerlab-tree-") as place:
        empty, merged = Path(place) / "empty", Path(place) / "merged"
        empty.mkdir()
        merged.mkdir()
        # A lone lower folder is no overlay, and an upper one would be written to.
        folders = [*reversed(layers), empty] if len(layers) == 1 else [*reversed(layers)]
        options = f"lowerdir={':'.join(map(str, folders))}"
        options += ",userxattr" if is_rootless else ""
        script = ["sh", "-c", _MOUNT, "sh", options, str(merged), sys.executable, facts.__file__]
        done = subprocess.run(["unshare", "--mount", *script], capture_output=True, check=True)
    found: Facts = json.loads(done.stdout)
    return found


def of_umoci(reference: str) -> Facts:
    """Return the facts of what umoci unpacks of an image of a registry without TLS."""
    with tempfile.TemporaryDirectory(prefix="dockerlab-tree-") as place:
        layout, bundle = f"{place}/layout:image", f"{place}/bundle"
        for command in (
            ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false",
             f"docker://{reference}", f"oci:{layout}"],
            ["umoci", "unpack", "--image", layout, bundle],
        ):  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{command[0]}: {done.stderr[-2000:]}")
        return facts.facts_of(Path(bundle) / "rootfs")


def differences(
    ours: Facts, theirs: Facts, but: Mapping[str, frozenset[str]] | None = None
) -> list[str]:
    """Return a line for every difference.

    Parameters
    ----------
    but : mapping
        By path, the facts of it that are not compared.
    """
    lines = [f"{name!r} is missing" for name in theirs.keys() - ours.keys()]
    lines += [f"{name!r} is too many" for name in ours.keys() - theirs.keys()]
    for name in ours.keys() & theirs.keys():
        left_out = (but or {}).get(name, frozenset())
        for key, value in ours[name].items():
            if key not in left_out and value != theirs[name][key]:
                lines.append(f"{name!r} {key}: {value}, not {theirs[name][key]}")
    return sorted(lines)
