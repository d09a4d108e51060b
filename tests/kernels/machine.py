"""An emulated machine with Debian's kernel and the host's files, that runs pytest and answers.

Emulated (TCG) and never KVM, which hangs on machines that are themselves virtual; so it is slow,
and has no device but a disk, two shared folders and a console.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.kernels.initramfs import make_archive
from tests.support.images import find_static_busybox

__all__ = ["CHECKOUT", "Machine", "find_kernel", "why_no_machine"]

CHECKOUT = Path(__file__).parents[2]
GUEST = Path(__file__).with_name("guest.py")

_QEMU = "qemu-system-x86_64"
_BOOT = "console=ttyS0 quiet panic=-1 mitigations=off cgroup_no_v1=all apparmor=1 security=apparmor"
_SHARED = "local,security_model=none"
_DISK_BYTES = 2 << 30  # sparse


def find_kernel() -> Path | None:
    """Return the newest of Debian's kernels that has its modules here, or None."""
    kernels = [
        path
        for path in Path("/boot").glob("vmlinuz-*-amd64")
        if (_modules_of(path) / "modules.dep").exists()
    ]
    return max(kernels, key=lambda path: path.stat().st_mtime, default=None)


def why_no_machine() -> str:
    """Return why no machine can be emulated here, or ''."""
    for program in (_QEMU, "mke2fs"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return "" if find_kernel() else "no kernel of Debian's in /boot (linux-image-amd64)"


class Machine:
    """Boots once, runs pytest in the checkout, and powers off.

    Parameters
    ----------
    folder : Path
        For the disk, the answers and the console; the caller removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._answers = folder / "answers"
        self._answers.mkdir()

    def run(self, arguments: Sequence[str], timeout_s: float) -> str:
        """Run pytest with these arguments; return why that did not end well, or ''.

        A failed test is no such reason; it is in the `results`.
        """
        kernel, busybox = find_kernel(), find_static_busybox()
        assert kernel is not None
        assert busybox is not None
        (self._answers / "plan.json").write_text(json.dumps(_plan(arguments)))
        variables = {"KEPT": " ".join(_kept()), "PYTHON": sys.executable, "GUEST": str(GUEST)}
        archive = make_archive(busybox, _modules_of(kernel), variables)
        (self._folder / "initramfs").write_bytes(archive)
        disk = self._folder / "disk"
        with disk.open("wb") as file:
            file.truncate(_DISK_BYTES)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-F", disk], check=True)
        try:
            failure = self._emulate(kernel, timeout_s)
        finally:
            disk.unlink()
        status = _text(self._answers / "status")
        if not failure and status not in {"0", "1"}:
            failure = f"pytest ended with {status or 'nothing'} in the machine"
        return failure

    @property
    def console(self) -> str:
        """What the kernel said."""
        return _text(self._folder / "console")

    @property
    def output(self) -> str:
        """What pytest said."""
        return _text(self._answers / "output")

    @property
    def results(self) -> str:
        """What came of each test, in JUnit's format; '' when pytest did not get that far."""
        return _text(self._answers / "results.xml")

    def _emulate(self, kernel: Path, timeout_s: float) -> str:
        command = [
            _QEMU, "-accel", "tcg,thread=multi", "-cpu", "Nehalem", "-smp", "2", "-m", "2048",
            "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
            "-kernel", str(kernel), "-initrd", str(self._folder / "initramfs"), "-append", _BOOT,
            "-serial", f"file:{self._folder / 'console'}",
            "-drive", f"file={self._folder / 'disk'},format=raw,if=virtio,cache=unsafe",
            "-virtfs", f"{_SHARED},path=/,mount_tag=host,readonly=on,multidevs=remap",
            "-virtfs", f"{_SHARED},path={self._answers},mount_tag=answers",
        ]  # fmt: skip
        with (self._folder / "qemu").open("w+") as said:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )
            try:
                status = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return f"the machine did not end within {timeout_s:g} s"
            finally:
                process.kill()
                process.wait()
            said.seek(0)
            return f"{_QEMU} ended with {status}: {said.read()}" if status else ""


def _plan(arguments: Sequence[str]) -> dict[str, object]:
    """Return what `guest` runs."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout=0"]
    command += ["--junit-xml=/run/answers/results.xml", *arguments]
    environ = {
        "DOCKERLAB_TEST_PATIENCE": "5",
        "CI": "true",  # whatever cannot run there is a failure
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{os.defpath}:/usr/sbin:/sbin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(CHECKOUT),
    }
    return {"command": command, "environ": environ, "cwd": str(CHECKOUT)}


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _modules_of(kernel: Path) -> Path:
    return Path("/lib/modules") / kernel.name.removeprefix("vmlinuz-")


def _kept() -> list[str]:
    """Return the folders of this host that the machine's own /tmp and /var/tmp would hide."""
    wanted = {str(CHECKOUT), sys.prefix, sys.base_prefix}
    return sorted(path for path in wanted if path.startswith(("/tmp/", "/var/tmp/")))
