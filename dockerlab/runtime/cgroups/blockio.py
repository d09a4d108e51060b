"""Limits of disks: the files and words of both versions for the spec's ``blockIO``.

runtime-spec/config-linux.md, "Block IO"; cgroup-v1/blkio-controller.rst and "IO Interface Files"
in cgroup-v2.rst of the kernel.
"""

import errno
import os

from dockerlab.runtime.cgroups.folder import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.oci.runtimespec import BlockDevice, BlockIO, ThrottleDevice

    # File, value, and what it is for.
    Setting = tuple[str, str, str]

__all__ = ["io_weight", "v1_settings", "v2_settings"]

_V1_THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
)
_V2_THROTTLES = (
    ("throttleReadBpsDevice", "rbps"),
    ("throttleWriteBpsDevice", "wbps"),
    ("throttleReadIOPSDevice", "riops"),
    ("throttleWriteIOPSDevice", "wiops"),
)
_WEIGHT, _THROTTLE = "set the weight of disk access", "limit disk access"


def v1_settings(folder: str, block: "BlockIO") -> "list[Setting]":
    """Return what to write into a container's folder of ``blkio``.

    Raises
    ------
    CgroupError
        ENOENT when a weight is asked for and no scheduler of this kernel has weights.
    """
    settings: list[Setting] = []
    if block.get("weight") or block.get("weightDevice"):
        # BFQ's; CFQ, which had the other, went with Linux 5.0.
        name = _first_there(folder, ("blkio.bfq.weight", "blkio.weight"))
        settings += _weights(block, name, f"{name}_device")
    for key, name in _V1_THROTTLES:
        settings += [
            (name, f"{_numbers(device)} {device['rate']}", _THROTTLE)
            for device in _throttled(block, key)
        ]
    return settings


def v2_settings(folder: str, block: "BlockIO") -> "list[Setting]":
    """Return what to write into a container's folder.

    Raises
    ------
    CgroupError
        ENOENT when a weight is asked for and no scheduler of this kernel has weights.
    """
    settings: list[Setting] = []
    if block.get("weight") or block.get("weightDevice"):
        name = _first_there(folder, ("io.bfq.weight", "io.weight"))
        settings += _weights(block, name, name, is_wide=name == "io.weight")
    for key, word in _V2_THROTTLES:
        settings += [
            ("io.max", f"{_numbers(device)} {word}={device['rate']}", _THROTTLE)
            for device in _throttled(block, key)
        ]
    return settings


def io_weight(weight: int) -> int:
    """Return v2's ``io.weight``, 1 to 10000, for a weight of 10 to 1000, as runc and crun do.

    Examples
    --------
    >>> [io_weight(weight) for weight in (10, 500, 1000)]
    [1, 4950, 10000]
    """
    return 1 + (weight - 10) * 9999 // 990


def _weights(
    block: "BlockIO", name: str, device_name: str, *, is_wide: bool = False
) -> "list[Setting]":
    scale = io_weight if is_wide else int
    settings: list[Setting] = []
    if weight := block.get("weight", 0):
        settings.append((name, str(scale(weight)), _WEIGHT))
    settings += [
        (device_name, f"{_numbers(device)} {scale(device['weight'])}", _WEIGHT)
        for device in block.get("weightDevice", [])
    ]
    return settings


def _throttled(block: "BlockIO", key: str) -> "list[ThrottleDevice]":
    return block.get(key, [])  # type: ignore[return-value]


def _numbers(device: "BlockDevice") -> str:
    return f"{device['major']}:{device['minor']}"


def _first_there(folder: str, names: tuple[str, ...]) -> str:
    for name in names:
        if os.path.exists(f"{folder}/{name}"):
            return name
    raise CgroupError(
        errno.ENOENT,
        "no disk scheduler of this kernel has weights, so --blkio-weight cannot be kept; leave it"
        " out, or load bfq and choose it for the disk",
        folder,
    )
