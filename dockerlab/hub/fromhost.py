"""A root file system of this machine's own programs: what they need is found, nothing is executed.

Libraries come as the loader would find them, a script brings its interpreter, busybox its applets,
Python its standard library. A program's other data are not known here; `Recipe.added` names them.
Read `plan`.
"""

import difflib
import os
import re
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dockerlab.errors import EngineFailure, InvalidArgument, NotFound
from dockerlab.hub.elfreader import is_elf
from dockerlab.hub.hosttree import Tree
from dockerlab.hub.libraries import Libraries, LibraryNotFound

__all__ = ["IMAGE_PATH", "SYSTEM_FOLDERS", "TOOLS", "Recipe", "RootPlan", "plan", "python_program"]

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
IMAGE_PATH = ":".join(SYSTEM_FOLDERS)

# What the image `tools` has, where this machine has it; `sh` must be there. One word is one tool,
# of a group with a slash the first that there is.
TOOLS = tuple(
    """
    sh ls cat ps ip sleep wget/curl awk basename chmod chown chroot cmp cp cut date dd df diff
    dirname dmesg du echo env expr false find free grep gunzip gzip head hostname id kill ln
    md5sum mkdir mkfifo mknod mktemp more mount mv nc nproc od pidof ping printf pwd readlink
    realpath rm rmdir sed seq sha256sum sort stat stty tail tar tee test timeout top touch tr true
    tty umount uname uniq uptime wc which whoami xargs yes
    """.split()  # noqa: SIM905 - sixty words read better so
)

_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = b"root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"
_NSSWITCH = b"passwd: files\ngroup: files\nhosts: files dns\n"
_MERGED = ("bin", "sbin", "lib", "lib64")

# What glibc opens by itself when it looks up a name, and when a thread ends; see nss(5).
_OPENED_LATER = ("libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1")
# Of the standard library: what is made at run time, is not its own, or is there to test and draw.
_NOT_OF_PYTHON = frozenset(
    {
        "__pycache__",
        *("site-packages", "dist-packages", "ensurepip", "lib2to3"),
        *("test", "tests", "idle_test", "idlelib", "turtledemo", "tkinter"),
    }
)
_PYTHON = re.compile(r"python(3\.[0-9]+)")
_FIRST_LINE_BYTES = 256
# busybox keeps the names of its applets in one table, sorted, with an empty one at its end.
_APPLETS_BEGIN = b"\0[\0[[\0"
_APPLET = re.compile(rb"[A-Za-z0-9_.\[-]{1,32}")
_MAX_SCRIPTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an image is made of.

    Parameters
    ----------
    programs : tuple of str
        Names, to be found on `search`, or paths.
    optional : tuple of str
        Names that are taken where they are there, unless the image has them already, as from
        busybox; `a/b` takes `b` when there is no `a`.
    required : tuple of str
        Names that the image must have in the end, whoever brought them.
    added : tuple of str
        Paths of further files and folders, with everything in them.
    search : tuple of str
        Folders of programs, as PATH has them.
    """

    programs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    search: tuple[str, ...] = SYSTEM_FOLDERS


@dataclass(frozen=True, slots=True)
class RootPlan:
    """What was found.

    Parameters
    ----------
    tree : Tree
        The files.
    library_folders : tuple of str
        Folders of libraries that the loader would not search by itself.
    command : str
        What an image of them runs: a shell, else the first program.
    """

    tree: Tree
    library_folders: tuple[str, ...]
    command: str


def plan(recipe: Recipe) -> RootPlan:
    """Find everything that the recipe asks for.

    Raises
    ------
    NotFound
        A program, or a library that it needs, is not on this machine; names near to it are said.
    InvalidArgument
        What is named is no program, or cannot be in an image.
    EngineFailure
        A file cannot be read.
    """
    try:
        return _Planner(recipe).plan()
    except OSError as exc:
        raise EngineFailure(
            f'cannot read "{exc.filename}" for an image: {exc.strerror}',
            "name programs and files that you may read",
        ) from exc


@dataclass(slots=True)
class _Planner:
    recipe: Recipe
    tree: Tree = field(default_factory=Tree)
    libraries: Libraries = field(default_factory=Libraries)
    folders: set[str] = field(default_factory=set)
    taken: set[Path] = field(default_factory=set)
    busyboxes: list[Path] = field(default_factory=list)

    def plan(self) -> RootPlan:
        """Find everything, what a user named before what busybox brings."""
        self._add_layout()
        for name in self.recipe.programs:
            self._add_program(self._find(name))
        # Nothing of busybox goes before a program that was named.
        self._add_applets()
        for group in self.recipe.optional:
            self._add_optional(group)
            self._add_applets()
        for name in self.recipe.required:
            if not self._has(name):
                self._add_program(self._find(name))
        for path in self.recipe.added:
            for file in self.tree.add_host_tree(path, without=frozenset()):
                self._add_libraries(file)
        self._add_settings()
        first = PurePosixPath(self.recipe.programs[0]).name if self.recipe.programs else "sh"
        command = "sh" if self._has("sh") else first
        return RootPlan(self.tree, tuple(sorted(self.folders)), command)

    def _add_layout(self) -> None:
        """Begin as this machine does: where `/bin` is a link here, it is one in the image."""
        for name in _MERGED:
            if Path("/", name).exists():
                self.tree.add_host(f"/{name}")
        for folder in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var", "var/tmp"):
            is_open = folder.endswith("tmp")
            mode = 0o1777 if is_open else 0o700 if folder == "root" else 0o755
            self.tree.add_folder(f"/{folder}", mode)

    def _add_settings(self) -> None:
        # Last, so that a user's own, named in `added`, are taken in their place.
        self.tree.add_data("/etc/passwd", _PASSWD)
        self.tree.add_data("/etc/group", _GROUP)
        self.tree.add_data("/etc/nsswitch.conf", _NSSWITCH)

    def _find(self, name: str) -> Path:
        found = find_program(name, self.recipe.search)
        if found is not None:
            return found
        near = near_programs(name, self.recipe.search)
        advice = f"there are {', '.join(near)}" if near else "install it, or check the spelling"
        raise NotFound(f'there is no program "{name}" on this machine', advice)

    def _add_optional(self, group: str) -> None:
        names = group.split("/")
        if any(map(self._has, names)):
            return
        found = next(filter(None, (find_program(n, self.recipe.search) for n in names)), None)
        if found is not None:
            self._add_program(found)

    def _has(self, name: str) -> bool:
        return any(f"{folder}/{name}" in self.tree for folder in SYSTEM_FOLDERS)

    def _add_applets(self) -> None:
        for busybox in self.busyboxes:
            for applet in applets(busybox.read_bytes()):
                self.tree.add_link(str(busybox.parent / applet), "busybox")
        self.busyboxes.clear()

    def _add_program(self, path: Path, scripts: int = 0) -> None:
        real = self.tree.add_host(path)
        if str(path.parent) not in SYSTEM_FOLDERS:
            self.tree.add_host("/usr")
            self.tree.add_folder("/usr/local")
            self.tree.add_folder("/usr/local/bin")
            self.tree.add_link(f"/usr/local/bin/{path.name}", str(path))
        if real in self.taken:
            return
        self.taken.add(real)
        if not is_elf(real):
            self._add_interpreter(real, scripts + 1)
            return
        self._add_libraries(real, is_needed=True)
        if real.name == "busybox":
            self.busyboxes.append(real)
        elif match := _PYTHON.fullmatch(real.name):
            self._add_python(real, match[0])

    def _add_interpreter(self, script: Path, scripts: int) -> None:
        words = script_interpreter(script)
        if not words or scripts > _MAX_SCRIPTS:
            raise InvalidArgument(
                f'"{script}" is neither a program for this system nor a script',
                "name a program, or take other files with --add",
            )
        for word in words:
            self._add_program(self._find(word), scripts)

    def _add_python(self, python: Path, version: str) -> None:
        prefix = python.parent.parent
        homes = [prefix / folder / version for folder in ("lib", "lib64")]
        if not any((home / "os.py").is_file() for home in homes):
            raise NotFound(f'there is no standard library for "{python}" in "{homes[0]}"')
        for home in filter(Path.is_dir, homes):
            configs = {path.name for path in home.glob("config-*")}
            for file in self.tree.add_host_tree(home, without=_NOT_OF_PYTHON | configs):
                if file.suffix == ".so":
                    self._add_libraries(file)
            for link in filter(Path.is_symlink, sorted(home.iterdir())):
                if link.is_file():  # as Debian's sitecustomize.py, which lies in /etc
                    self.tree.add_host(link)

    def _add_libraries(self, file: Path, *, is_needed: bool = False) -> None:
        """Take the libraries of a file; unless it `is_needed`, missing ones are no error."""
        if not is_elf(file):
            return
        try:
            found = self.libraries.closure(file)
        except (LibraryNotFound, InvalidArgument):
            if is_needed:
                raise
            return
        if any(path.name == "libc.so.6" for path in found):
            later = (self.libraries.find(name, file) for name in _OPENED_LATER)
            found += [path for path in later if path is not None]
        for path in found:
            self.tree.add_host(path)
        self.folders |= self.libraries.unsearched(found, file)


def find_program(name: str, search: Sequence[str]) -> Path | None:
    """Return the program of a name, or at a path; None when there is none."""
    if "/" in name:
        path = Path(os.path.abspath(name))  # noqa: PTH100 - keeps symlinks
        return path if _is_program(path) else None
    candidates = (Path(folder, name) for folder in search if folder.startswith("/"))
    return next(filter(_is_program, candidates), None)


def python_program() -> str:
    """Return the path of the system's Python, else of the one that runs this."""
    found = find_program("python3", SYSTEM_FOLDERS)
    return str(found or Path(sys.executable).resolve())


def near_programs(name: str, search: Sequence[str]) -> list[str]:
    """Return up to three names of programs that look like `name`, the nearest first."""
    known: set[str] = set()
    for folder in search:
        try:
            known.update(path.name for path in Path(folder).iterdir())
        except OSError:
            continue
    return difflib.get_close_matches(PurePosixPath(name).name, sorted(known), 3)


def script_interpreter(path: Path) -> list[str]:
    """Return the programs that the first line of a script names; none when it is no script.

    With ``env`` that is `env` and the program that it starts (execve(2), "Interpreter scripts").
    """
    with path.open("rb") as file:
        line = os.fsdecode(file.read(_FIRST_LINE_BYTES).partition(b"\n")[0])
    words = line.removeprefix("#!").split()
    if not line.startswith("#!") or not words:
        return []
    if PurePosixPath(words[0]).name != "env":
        return words[:1]
    started = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return words[:1] + started[:1]


def applets(busybox: bytes) -> list[str]:
    r"""Return the names of the applets in a busybox, read from its table; none when it has none.

    Examples
    --------
    >>> applets(b"code\0[\0[[\0ash\0cat\0\0data")
    ['[', '[[', 'ash', 'cat']
    """
    begin = busybox.find(_APPLETS_BEGIN)
    if begin < 0:
        return []
    table = busybox[begin + 1 : busybox.find(b"\0\0", begin + 1)].split(b"\0")
    return [name.decode("ascii") for name in table if _APPLET.fullmatch(name)]


def _is_program(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111)
