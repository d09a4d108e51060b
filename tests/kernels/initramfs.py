"""What the kernel starts with: a busybox, the modules that reach the root, and `init.sh`.

See "initramfs buffer format" in the kernel's documentation (driver-api/early-userspace).
"""

import lzma
import shlex
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["find_modules", "make_archive"]

_INIT = Path(__file__).with_name("init.sh")

# The root, its layer on top, and the disk beneath that layer.
_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_blk", "crc32c_generic", "ext4")


def make_archive(busybox: Path, modules: Path, variables: Mapping[str, str]) -> bytes:
    """Return the archive in cpio's "newc" format.

    Parameters
    ----------
    busybox : Path
        One without libraries.
    modules : Path
        The kernel's folder below /lib/modules.
    variables : mapping
        Shell variables for `init.sh`.
    """
    entries: list[tuple[str, int, bytes]] = [
        (name, stat.S_IFDIR | 0o755, b"")
        for name in ("bin", "dev", "disk", "host", "lib", "new", "proc", "sys")
    ]
    entries.append(("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
    loaded = find_modules((modules / "modules.dep").read_text(), _MODULES)
    for number, path in enumerate(loaded):
        name = f"lib/{number:02}-{Path(path).name.partition('.')[0]}.ko"
        entries.append((name, stat.S_IFREG | 0o644, _read_module(modules / path)))
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())]
    entries.append(("variables", stat.S_IFREG | 0o644, "".join(lines).encode()))
    entries.append(("init", stat.S_IFREG | 0o755, _INIT.read_bytes()))
    return b"".join(_entry(*each) for each in [*entries, ("TRAILER!!!", 0, b"")])


def find_modules(dependencies: str, wanted: Sequence[str]) -> list[str]:
    """Return the files of some modules and of what they need, in the order to load them.

    Parameters
    ----------
    dependencies : str
        The text of modules.dep; what it does not have is taken to be built into the kernel.
    wanted : sequence of str
        Names, such as ``ext4``.

    Examples
    --------
    >>> find_modules("fs/b.ko.xz: fs/a.ko.xz\\nfs/a.ko.xz:\\nfs/c.ko.xz:\\n", ["b", "there"])
    ['fs/a.ko.xz', 'fs/b.ko.xz']
    """
    needs = {}
    for line in dependencies.splitlines():
        path, _, others = line.partition(":")
        needs[Path(path).name.partition(".")[0]] = (path, others.split())
    order: dict[str, None] = {}

    def add(path: str) -> None:
        for other in needs[Path(path).name.partition(".")[0]][1]:
            add(other)
        order.setdefault(path)

    for name in wanted:
        if name in needs:
            add(needs[name][0])
    return list(order)


def _read_module(path: Path) -> bytes:
    """Return a module as insmod wants it; newer kernels come with compressed ones."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _entry(name: str, mode: int, data: bytes) -> bytes:
    nul_terminated = name.encode() + b"\0"
    numbers = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(nul_terminated), 0]
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _padded(header + nul_terminated) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
