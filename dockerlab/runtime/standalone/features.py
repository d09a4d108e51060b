"""What this runtime does, as a document: runtime-spec/features.md."""

from __future__ import annotations

from dockerlab.runtime import capabilities, seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["document"]


def document() -> dict[str, Any]:
    """Return the features document."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.0.2",
        "hooks": [
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ],
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "uts"],
            "capabilities": sorted(capabilities.NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False},
            "seccomp": {"enabled": True, "actions": sorted(seccomp.ACTIONS)},
            "apparmor": {"enabled": False},
            "selinux": {"enabled": False},
        },
    }
