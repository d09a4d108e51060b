"""An image to build with: a shell, a C compiler and Python, made of this host's own programs."""

import io
import platform
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.support.images import busybox_layer
from tests.support.registry import push_image

__all__ = ["push_workshop", "why_no_workshop"]

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_PYTHON = Path("/usr/bin/python3")
_START_FILES: tuple[str, ...] = (
    "crt1.o",
    "crti.o",
    "crtn.o",
    "libc.a",
    "crtbeginT.o",
    "crtend.o",
    "libgcc.a",
)
_START_FILES += ("libgcc_eh.a", "liblto_plugin.so")
_LEFT_OUT = ("test", "tests", "__pycache__", "idlelib", "lib2to3", "ensurepip", "config-")


def why_no_workshop() -> str:
    """Return why the image cannot be made; '' when it can."""
    missing = [name for name in ("gcc", "as", "ld") if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} is not installed (apt install gcc)"
    if not Path(_file("libc.a")).is_absolute():
        return "there is no libc.a (apt install libc6-dev)"
    return "" if _PYTHON.exists() else "no /usr/bin/python3 (apt install python3)"


def push_workshop(address: str) -> None:
    """Push ``library/workshop``: busybox, gcc for static programs, Python with its library."""
    push_image(
        address,
        "library/workshop",
        "latest",
        [busybox_layer(), _tools()],
        config={"Cmd": ["sh"], "Env": [_PATH]},
        architecture=_MACHINES[platform.machine()],
    )


def _tools() -> bytes:
    files: dict[str, Path] = {}
    for name in ("gcc", "as", "ld"):
        files[f"usr/bin/{name}"] = Path(shutil.which(name) or name).resolve()
    for name in ("cc1", "collect2"):
        said = _ask(f"-print-prog-name={name}")
        files[said.lstrip("/")] = Path(said).resolve()
    files["usr/bin/python3"] = _PYTHON.resolve()
    for program in list(files.values()):
        for library in _libraries_of(program):
            files[library.lstrip("/")] = Path(library).resolve()
    for name in _START_FILES:
        # Relative to itself the compiler says `…/../lib/x`; it looks in the plain folders as well.
        found = Path(_file(name)).resolve()
        files[str(found).lstrip("/")] = found
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in sorted(files.items()):
            archive.add(path, name, recursive=False, filter=_as_roots)
        # The compiler reads it before every program.
        archive.addfile(tarfile.TarInfo("usr/include/stdc-predef.h"))
        library_folder = Path("/usr/lib") / _PYTHON.resolve().name
        archive.add(library_folder, str(library_folder).lstrip("/"), filter=_as_roots)
    return buffer.getvalue()


def _as_roots(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if Path(entry.name).name.startswith(_LEFT_OUT):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _file(name: str) -> str:
    return _ask(f"-print-file-name={name}")


def _ask(option: str) -> str:
    done = subprocess.run(["gcc", option], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _libraries_of(program: Path) -> list[str]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    return sorted(set(re.findall(r"(/\S+) \(0x", listed.stdout)))
