"""What is known to differ from dockerd in the session, and why."""

from dataclasses import dataclass

__all__ = ["DIFFERENCES", "PAGE", "Difference", "page"]

PAGE = "docs/compat.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The fields of a step that differ, and the reason."""

    fields: tuple[str, ...]
    reason: str


DIFFERENCES: dict[str, Difference] = {}

_HEAD = """\
# The docker command line client against both engines

`tests/compat/docker_script.sh` is one session of {steps} commands of the real `docker` client:
pulls, runs, input and output, exit statuses, what a container sees, the life of a container. The
test runs it against a dockerd with folders of its own and against dockerlab, and compares status,
output and errors of every command, with times and random ids blanked. Everything that is not in
this table is the same. A difference that is not listed here fails the test, and so does a line of
the table that is no longer true.

Both engines are asked with `--network none` and API version 1.41. `python -m tests.compat` writes
this page from `tests/compat/differences.py`.

| command of the session | differs in | why |
|---|---|---|
"""


def page(steps: int) -> str:
    """Return the page for a session of so many commands."""
    rows = [
        f"| `{name}` | {', '.join(difference.fields)} | {difference.reason} |\n"
        for name, difference in sorted(DIFFERENCES.items())
    ]
    return _HEAD.format(steps=steps) + "".join(rows)
