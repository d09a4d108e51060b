"""Our runtime behind the command line of OCI runtimes, and a Podman that uses it or another."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dockerlab.runtime import defaults, standalone
from tests.support.engine import find_holders, wait_until
from tests.support.images import find_static_busybox
from tests.support.podman import remove_parent_cgroups

__all__ = ["CONFIGURATION", "Podman", "RuntimeCli", "busybox_root", "running_podman_cli"]

_TIMEOUT_S = 60
CONFIGURATION = """[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
"""


def busybox_root(root: Path) -> None:
    """Fill a folder with busybox, its applets, and two users."""
    busybox = find_static_busybox()
    assert busybox is not None
    (root / "bin").mkdir(parents=True)
    for name in ("etc", "tmp", "root", "data"):
        (root / name).mkdir()
    shutil.copy(busybox, root / "bin" / "busybox")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\nann:x:1001:\n")


class RuntimeCli:
    """The command, and bundles for it.

    Parameters
    ----------
    folder : Path
        Where its states and the bundles are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle = folder / "bundle"
        self.bundle.mkdir()
        self.command = [
            *(sys.executable, str(Path(standalone.__file__).with_name("__main__.py"))),
            *("--root", str(folder / "states")),
        ]

    def __call__(self, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end."""
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **more}
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run(
            [*self.command, *arguments], text=True, check=False, timeout=_TIMEOUT_S, **options
        )

    def write_spec(self, *args: str, **changes: Any) -> dict[str, Any]:
        """Write a bundle's config as a foreign engine does: what it need not say, it does not."""
        capabilities = list(defaults.DEFAULT_CAPABILITIES)
        spec: dict[str, Any] = {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": list(args),
                "env": ["PATH=/bin"],
                "cwd": "/",
                "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
            },
            "root": {"path": str(self.folder / "rootfs")},
            "mounts": defaults.default_mounts(1 << 20),
            "linux": {
                "namespaces": [
                    {"type": each} for each in ("pid", "mount", "ipc", "uts", "network")
                ],
                "cgroupsPath": f"/dockerlab/{self.folder.name}",
            },
        }
        for key, value in changes.items():
            owner = next(each for each in ("process", "linux", "") if key in _KEYS[each])
            (spec[owner] if owner else spec)[key] = value
        (self.bundle / "config.json").write_text(json.dumps(spec))
        return spec

    def state(self, name: str) -> dict[str, Any]:
        """Return a container's state."""
        shown: dict[str, Any] = json.loads(self("state", name).stdout)
        return shown


_KEYS = {
    "process": {"terminal", "user", "cwd", "env", "rlimits", "noNewPrivileges", "oomScoreAdj"},
    "linux": {"namespaces", "resources", "sysctl", "seccomp", "rootfsPropagation", "maskedPaths"},
    "": {"hooks", "hostname", "mounts", "annotations", "root"},
}


class Podman:
    """The podman program with stores of its own and our runtime."""

    def __init__(self, base: Path) -> None:
        self._base = base
        script = base / "runtime"
        main = Path(standalone.__file__).with_name("__main__.py")
        words = shlex.join([sys.executable, str(main), "--root", str(base / "states")])
        script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        script.chmod(0o755)
        (base / "containers.conf").write_text(CONFIGURATION)
        self.states = base / "states"
        # In a mount namespace of its own, so that none of its mounts stays on the host.
        self.command = [
            *("unshare", "--mount", "--propagation", "slave", "podman"),
            *(f"--root={base}/root", f"--runroot={base}/run", f"--tmpdir={base}/tmp"),
            *("--storage-driver=overlay", "--cgroup-manager=cgroupfs", "--events-backend=none"),
            f"--runtime={script}",
        ]
        self.environ = {**os.environ, "CONTAINERS_CONF": str(base / "containers.conf")}

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end."""
        return subprocess.run(
            [*self.command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env=self.environ,
        )


@contextmanager
def running_podman_cli() -> Iterator[Podman]:
    """Give a Podman with the image ``box``; its containers and stores go with it."""
    base = Path(tempfile.mkdtemp(prefix="pd-"))
    podman = Podman(base)
    try:
        busybox_root(base / "box")
        archive = base / "box.tar"
        subprocess.run(["tar", "-C", base / "box", "-cf", archive, "."], check=True)
        imported = podman("import", str(archive), "box")
        assert imported.returncode == 0, imported.stderr
        yield podman
    finally:
        podman("rm", "--all", "--force", "--time", "0")
        wait_until(lambda: not find_holders([base]), "the helpers of podman end")
        remove_parent_cgroups()
        shutil.rmtree(base, ignore_errors=True)
