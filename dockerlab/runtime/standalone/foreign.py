"""A foreign spec made ready: what a runtime has to add by itself, and what this one refuses.

The engine's own specs name everything (`engine.specs`); those of others leave to the runtime what
config-linux.md says every container has.
"""

from __future__ import annotations

import errno
import os

from dockerlab.runtime import defaults
from dockerlab.runtime.bundle import load_spec
from dockerlab.runtime.protocol import StepFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerlab.oci.runtimespec import DeviceRule, Process, Spec

__all__ = ["is_in_user_namespace", "load", "normalize_process", "root_path"]

_NAMESPACES = frozenset({"mount", "uts", "ipc", "pid", "network", "cgroup"})


def load(bundle: str) -> Spec:
    """Return the spec of a bundle, completed.

    Raises
    ------
    StepFailure
        Step ``bundle``: it is none, or asks for what this runtime does not do.
    """
    spec = load_spec(bundle)
    document: dict[str, Any] = {**spec}
    if not str(spec.get("ociVersion", "")).startswith("1."):
        raise _refused(f'version "{spec.get("ociVersion")}" of the specification', "write 1.0.2")
    _refuse(document)
    linux = spec["linux"]
    given = {device.get("path") for device in linux.get("devices", [])}
    own = [device for device in defaults.default_devices() if device["path"] not in given]
    linux["devices"] = [*linux.get("devices", []), *own]
    resources = linux.setdefault("resources", {})
    resources["devices"] = [*resources.get("devices", []), *_usable(linux["devices"])]
    normalize_process(spec["process"])
    for mount in spec["mounts"]:
        mount.setdefault("type", "bind")
        mount.setdefault("source", mount["type"])
    return spec


def normalize_process(process: Process) -> None:
    """Take out what the kernel could only refuse, and fill in what may be missing."""
    process.setdefault("env", [])
    process.setdefault("user", {"uid": 0, "gid": 0})
    sets = process.get("capabilities")
    if sets is None:
        # No sets is no capabilities; and not, as for our own specs, those that we have.
        process["capabilities"] = {"bounding": [], "effective": [], "permitted": []}
        return
    sets.setdefault("bounding", [])
    sets.setdefault("effective", [])
    sets.setdefault("permitted", [])
    # Ambient is what an executed program keeps of what it could inherit; capabilities(7).
    inheritable, permitted = set(sets.get("inheritable", [])), set(sets["permitted"])
    ambient = sets.get("ambient", [])
    sets["ambient"] = [name for name in ambient if name in inheritable and name in permitted]


def root_path(bundle: str, spec: Spec) -> str:
    """Return the path of the root file system, without symbolic links."""
    return os.path.realpath(os.path.join(bundle, spec["root"]["path"]))


def is_in_user_namespace() -> bool:
    """Tell whether this process lives in a user namespace that maps less than all ids."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def _usable(devices: list[Any]) -> list[DeviceRule]:
    """Return the rules for the devices that every container has, and for those it was given."""
    # Without its first, which closes everything: what the spec has opened stays open.
    rules = defaults.device_rules()[1:]
    for device in devices:
        if device["type"] in ("c", "u", "b"):
            kind = "b" if device["type"] == "b" else "c"
            rule: DeviceRule = {"allow": True, "type": kind, "access": "rwm"}
            rule["major"], rule["minor"] = device["major"], device["minor"]
            rules.append(rule)
    return rules


def _refuse(document: dict[str, Any]) -> None:
    linux, process = document["linux"], document["process"]
    _refuse_namespaces({namespace["type"] for namespace in linux.get("namespaces", [])})
    for key in ("apparmorProfile", "selinuxLabel"):
        if process.get(key):
            raise _refused(f'"{key}"', "switch it off (--security-opt label=disable, apparmor=…)")
    seccomp = linux.get("seccomp") or {}
    if seccomp.get("listenerPath"):
        raise _refused("a seccomp filter with a listener", "use a filter without SCMP_ACT_NOTIFY")
    for key in ("intelRdt", "personality", "timeOffsets", "mountLabel"):
        if linux.get(key):
            raise _refused(f'"{key}"', "leave it out")
    for mount in document["mounts"]:
        if mount.get("uidMappings") or mount.get("gidMappings"):
            raise _refused("a mount with mapped ids", "leave the mapping out")


def _refuse_namespaces(types: set[str]) -> None:
    if "user" in types:
        raise _refused("a user namespace", "run without --userns, --uidmap and --gidmap")
    if strange := types - _NAMESPACES:
        raise _refused(f'a namespace of type "{min(strange)}"', "leave it out")
    if "mount" not in types:
        raise _refused("a container in the host's mount namespace", "give it its own")


def _refused(what: str, remedy: str) -> StepFailure:
    message = f"this runtime does not support {what}; {remedy}"
    return StepFailure("bundle", errno.ENOTSUP, "config.json", message)
