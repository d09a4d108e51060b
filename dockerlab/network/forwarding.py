"""Let the kernel route between interfaces, and lose nothing by it.

A host that routes IPv6 no longer listens to the routers that it has its own default route from,
unless it is told to (accept_ra 2). Documentation/networking/ip-sysctl.rst in Linux.
"""

import contextlib
from pathlib import Path

__all__ = ["allow_forwarding"]

_SYSCTLS = Path("/proc/sys/net")


def allow_forwarding(*, has_ipv6: bool, root: Path = _SYSCTLS) -> None:
    """Switch forwarding on in the namespace of the calling thread, where it is off.

    Where the settings cannot be written, as in many a container, they stay as they are.
    """
    _switch(root / "ipv4/ip_forward")
    if has_ipv6 and _read(root / "ipv6/conf/all/forwarding") == "0":
        for setting in (root / "ipv6/conf").glob("*/accept_ra"):
            if setting.parent.name not in ("all", "default") and _read(setting) == "1":
                _write(setting, "2")
        _switch(root / "ipv6/conf/all/forwarding")


def _switch(path: Path) -> None:
    if _read(path) == "0":
        _write(path, "1")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _write(path: Path, value: str) -> None:
    with contextlib.suppress(OSError):
        path.write_text(value, encoding="ascii")
