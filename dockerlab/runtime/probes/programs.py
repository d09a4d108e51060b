"""Run a program for a probe: find it, start it, read what it says."""

import os

from dockerlab.runtime.probes.asking import doing

__all__ = ["find", "run"]

_MOST_BYTES = 1 << 14


def find(name: str, path: str) -> str:
    """Return the path of the program `name` in the folders of `path`; '' when there is none."""
    for folder in path.split(os.pathsep):
        candidate = os.path.join(folder or ".", name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return ""


def run(program: str, *arguments: str) -> tuple[int, str]:
    """Return the exit code of a program and the last line that it wrote to its standard error.

    Raises
    ------
    Refused
        It could not be started.
    """
    reader, writer = os.pipe()
    with doing(f'starting "{program}"'):
        child = os.posix_spawn(
            program,
            [program, *arguments],
            {"PATH": os.defpath, "LC_ALL": "C"},
            file_actions=[(os.POSIX_SPAWN_DUP2, writer, 2)],
        )
    os.close(writer)
    said = b""
    while len(said) < _MOST_BYTES and (data := os.read(reader, 4096)):
        said += data
    os.close(reader)
    _, status = os.waitpid(child, 0)
    lines = said.decode(errors="replace").strip().splitlines()
    return os.waitstatus_to_exitcode(status), lines[-1] if lines else ""
