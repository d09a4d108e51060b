"""What is in which image: one function an image, which writes its layers into a folder."""

import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.corpus.layers import BuiltLayer, LayerWriter
from tests.corpus.oddities import write_oddities

__all__ = ["RECIPES", "Recipe", "RecipeUnavailable", "expected_layers20"]

LAYERS = 20
MANY_FILES = 40_000
BIG_FILE_BYTES = 500_000_000
_FILES_PER_FOLDER = 100
_CHUNK_BYTES = 1 << 20
_PIECE_BYTES = 4096
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BUSYBOX_ACCOUNTS = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "etc/group": b"root:x:0:\nnobody:x:65534:\n",
}
# What debootstrap leaves that differs from run to run, or that a container gets from the engine.
_DEBIAN_SKIP = frozenset(
    {
        "dev",
        "proc",
        "sys",
        "etc/machine-id",
        "etc/hostname",
        "etc/resolv.conf",
        "var/cache/apt",
        "var/cache/ldconfig",
        "var/lib/apt/lists",
        "var/log",
        "debootstrap",
    }
)


class RecipeUnavailable(Exception):
    """This host lacks what the recipe is made from; the message says what to install."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to make an image.

    Parameters
    ----------
    write : callable
        Makes the layers in a folder, lowest first.
    run : dict
        The `config` member of the image config (image-spec/config.md).
    is_large : bool
        Built only when named: it takes more than a few seconds.
    is_docker : bool
        Pushed with Docker's media types in place of OCI's.
    version : int
        Raised when the content changes, so that a cached build is not used again.
    """

    write: Callable[[Path], list[BuiltLayer]]
    run: dict[str, Any] = field(default_factory=dict)
    is_large: bool = False
    is_docker: bool = False
    version: int = 1


def expected_layers20() -> set[str]:
    """Return the files below ``/data`` that are left when all layers of layers20 are applied."""
    kept = {f"own/{number:02}/kept" for number in range(1, LAYERS)}
    kept.add(f"own/{LAYERS - 1:02}/removed-by-the-next")
    last_opaque = max(number for number in range(1, LAYERS) if number % 5 == 0)
    return kept | {f"shared/{number:02}" for number in range(last_opaque, LAYERS)}


def _busybox(folder: Path) -> list[BuiltLayer]:
    with LayerWriter(folder / "0.tar.gz") as layer:
        _add_busybox(layer)
    return [layer.built]


def _add_busybox(layer: LayerWriter) -> None:
    found = shutil.which("busybox")
    program = Path(found).resolve() if found else None
    # A program that names the dynamic linker (elf(5), PT_INTERP) needs libraries.
    if program is None or b"/ld-linux" in program.read_bytes()[:4096]:
        raise RecipeUnavailable("no static busybox (apt install busybox-static)")
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    layer.data("bin/busybox", program.read_bytes(), 0o755)
    for applet in sorted(set(listed.stdout.split()) - {"busybox"}):
        layer.link(f"bin/{applet}", "busybox")
    for name, data in _BUSYBOX_ACCOUNTS.items():
        layer.data(name, data)
    layer.folder("root", 0o700)
    layer.folder("tmp", 0o1777)


def _debian(folder: Path) -> list[BuiltLayer]:
    if shutil.which("debootstrap") is None:
        raise RecipeUnavailable("debootstrap is not installed (apt install debootstrap)")
    with tempfile.TemporaryDirectory(prefix="dockerlab-corpus-") as temporary:
        root = Path(temporary) / "root"
        command = ["debootstrap", "--variant=minbase", "bookworm", str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RecipeUnavailable(f"debootstrap: {done.stdout.strip()[-300:]}")
        with LayerWriter(folder / "0.tar.gz") as layer:
            layer.tree(root, "", skip=_DEBIAN_SKIP)
            for name in ("dev", "proc", "sys", "var/log", "var/cache/apt"):
                layer.folder(name)
    return [layer.built]


def _python_like(folder: Path) -> list[BuiltLayer]:
    """Debian's own Python in three layers: the program, its libraries, its packages."""
    program = Path("/usr/bin/python3")
    if not program.exists():
        raise RecipeUnavailable("no /usr/bin/python3 (apt install python3)")
    program = program.resolve()
    with LayerWriter(folder / "0.tar.gz") as base:
        for library in _libraries_of(program):
            # Through /lib -> usr/lib or not: the name the dynamic linker looks for must be there.
            base.data(library.lstrip("/"), Path(library).read_bytes(), 0o755)
        base.copy(program, f"usr/bin/{program.name}")
        base.link("usr/bin/python3", program.name)
        for name, data in _BUSYBOX_ACCOUNTS.items():
            base.data(name, data)
    layers = [base]
    for number, source in enumerate((Path("/usr/lib") / program.name, Path("/usr/lib/python3"))):
        with LayerWriter(folder / f"{number + 1}.tar.gz") as layer:
            layer.tree(source, str(source).lstrip("/"))
        layers.append(layer)
    return [layer.built for layer in layers]


def _libraries_of(program: Path) -> list[str]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    return sorted(set(re.findall(r"(/\S+) \(0x", listed.stdout)))


def _manyfiles(folder: Path) -> list[BuiltLayer]:
    with LayerWriter(folder / "0.tar.gz") as layer:
        _add_busybox(layer)
        for number in range(MANY_FILES):
            name = f"data/{number // _FILES_PER_FOLDER:03}/{number % _FILES_PER_FOLDER:02}"
            layer.data(name, f"file {number}\n".encode())
    return [layer.built]


def _bigfile(folder: Path) -> list[BuiltLayer]:
    with LayerWriter(folder / "0.tar.gz") as layer:
        _add_busybox(layer)
        layer.stream("data/big", _noise(500, BIG_FILE_BYTES), BIG_FILE_BYTES)
    return [layer.built]


def _layers20(folder: Path) -> list[BuiltLayer]:
    """Twenty layers: each adds, each removes a file of the one below, some hide a whole folder."""
    layers = []
    for number in range(LAYERS):
        with LayerWriter(folder / f"{number:02}.tar.gz") as layer:
            if number == 0:
                _add_busybox(layer)
            else:
                _add_level(layer, number)
        layers.append(layer.built)
    return layers


def _add_level(layer: LayerWriter, number: int) -> None:
    size = 8 * _CHUNK_BYTES
    layer.stream(f"data/own/{number:02}/kept", _noise(number, size), size)
    layer.data(f"data/own/{number:02}/removed-by-the-next", b"short-lived\n")
    if number > 1:
        layer.whiteout(f"data/own/{number - 1:02}/removed-by-the-next")
    if number % 5 == 0:
        layer.opaque("data/shared")
    layer.data(f"data/shared/{number:02}", f"layer {number}\n".encode())


def _noise(seed: int, size: int) -> Iterator[bytes]:
    """Make `size` bytes that compress as programs do: random, skewed and repeated pieces."""
    source = random.Random(seed)  # the same on every machine
    skewed = bytes(min(value * value >> 8, 63) for value in range(256))
    while size > 0:
        third = source.randbytes(_CHUNK_BYTES // 3)
        # deflate finds a repetition within 32 KiB (RFC 1951).
        chunk = (third + third.translate(skewed) + third[:_PIECE_BYTES] * 85)[:size]
        size -= len(chunk)
        yield chunk


_SHELL: dict[str, Any] = {"Cmd": ["sh"], "Env": [_PATH]}

# hello-world is not here: the pusher takes it from the hub, as an index of two platforms.
RECIPES = {
    "busybox": Recipe(write=_busybox, run=_SHELL, is_docker=True),
    "oddities": Recipe(write=write_oddities, is_large=True),
    "debian": Recipe(write=_debian, run={"Cmd": ["bash"], "Env": [_PATH]}, is_large=True),
    "python-like": Recipe(
        write=_python_like, run={"Cmd": ["python3"], "Env": [_PATH]}, is_large=True
    ),
    "manyfiles": Recipe(write=_manyfiles, run=_SHELL, is_large=True),
    "bigfile": Recipe(write=_bigfile, run=_SHELL, is_large=True),
    "layers20": Recipe(write=_layers20, run=_SHELL, is_large=True),
}
