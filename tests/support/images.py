"""The small images of the integration tests, made here from the host's busybox and our own files.

The large ones of the benchmarks are built by ``tests/corpus``.
"""

import io
import os
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from dockerlab.hub.elf import hello_elf
from tests.support.registry import push_image

__all__ = [
    "HELLO_TEXT",
    "SLOW_LAYERS",
    "busybox_layer",
    "find_static_busybox",
    "layer",
    "push_test_images",
]

HELLO_TEXT = "Hello from the registry of the tests.\n"
SLOW_LAYERS = 3
_SLOW_LAYER_BYTES = 2 << 20
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def find_static_busybox() -> Path | None:
    """Return the host's busybox if it needs no library, else None (apt: busybox-static)."""
    found = shutil.which("busybox")
    if found is None:
        return None
    path = Path(found).resolve()
    # PT_INTERP names the dynamic linker; elf(5).
    return None if b"/ld-linux" in path.read_bytes()[:4096] else path


def layer(
    files: dict[str, bytes] | None = None,
    *,
    links: dict[str, str] | None = None,
    folders: dict[str, int] | None = None,
) -> bytes:
    """Return a tar archive: files (mode 0755), symbolic links and folders with their modes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, mode in (folders or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        for name, data in (files or {}).items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o755, len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return buffer.getvalue()


def push_test_images(address: str) -> None:
    """Push ``library/hello-world``, ``library/busybox``, ``library/slow`` and ``library/user``.

    ``slow`` has several layers that do not compress, for tests that stop in the middle of a pull.
    """
    architecture = _MACHINES[platform.machine()]
    hello = layer({"hello": hello_elf(architecture, HELLO_TEXT.encode())})
    shell = busybox_layer()
    noise = [layer({f"noise-{n}": os.urandom(_SLOW_LAYER_BYTES)}) for n in range(SLOW_LAYERS)]
    identity = layer(
        {
            "etc/passwd": b"root:x:0:0::/root:/bin/sh\nlab:x:1234:1234::/home/lab:/bin/sh\n",
            "etc/group": b"root:x:0:\nlab:x:1234:\nmore:x:5000:lab\n",
        },
        folders={"home/lab": 0o755},
    )
    images: dict[str, tuple[list[bytes], dict[str, Any]]] = {
        "hello-world": ([hello], {"Cmd": ["/hello"], "Env": [_PATH]}),
        "busybox": ([shell], {"Cmd": ["sh"], "Env": [_PATH]}),
        "slow": ([shell, *noise], {"Cmd": ["echo", "whole"], "Env": [_PATH]}),
        "user": (
            [shell, identity],
            {
                "Entrypoint": ["sh", "-c", 'echo "$0 $@"; id -u; id -G; pwd; echo "$COLOUR $HOME"'],
                "Cmd": ["from", "cmd"],
                "Env": [_PATH, "COLOUR=blue"],
                "User": "lab",
                "WorkingDir": "/made/by/workdir",
                "Labels": {"purpose": "tests"},
            },
        ),
    }
    for name, (layers, config) in images.items():
        push_image(
            address, f"library/{name}", "latest", layers, config=config, architecture=architecture
        )


def busybox_layer() -> bytes:
    """Return a layer with a shell: the host's busybox under all its names."""
    program = find_static_busybox()
    if program is None:
        raise FileNotFoundError("no static busybox (apt install busybox-static)")
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    applets = {f"bin/{name}": "busybox" for name in listed.stdout.split() if name != "busybox"}
    return layer(
        {
            "bin/busybox": program.read_bytes(),
            "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
            "etc/group": b"root:x:0:\nnobody:x:65534:\n",
        },
        links=applets,
        folders={"root": 0o700, "tmp": 0o1777, "dev": 0o755, "proc": 0o755, "sys": 0o755},
    )
