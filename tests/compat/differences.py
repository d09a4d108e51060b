"""What is known to differ from dockerd in the session, and why."""

from dataclasses import dataclass

__all__ = ["DIFFERENCES", "PAGE", "Difference", "page"]

PAGE = "docs/compat.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The fields of a step that differ, and the reason.

    `is_dated` ones come from the age of dockerd 20.10, with which a newer one may agree with us.
    """

    fields: tuple[str, ...]
    reason: str
    is_dated: bool = False


_ALL = ("exit", "stdout", "stderr")
_NEWER = "the wording of current dockerd; Debian 12 has 20.10"
_WORDING = "the same refusal and status, in words of our own"
_RUNTIME = "without the names of the programs that dockerd hands a start through"


def _later(what: str, *fields: str) -> Difference:
    return Difference(fields=fields, reason=f"{what}: not in this version, refused with a sentence")


def _error(reason: str, *, is_dated: bool = False) -> Difference:
    return Difference(fields=("stderr",), reason=reason, is_dated=is_dated)


def _output(reason: str, *, is_dated: bool = False) -> Difference:
    return Difference(fields=("stdout",), reason=reason, is_dated=is_dated)


_KNOWN_LAYERS = _output("layers that are there are named too when the image itself is there")

DIFFERENCES: dict[str, Difference] = {
    # Images
    "pull_again": _KNOWN_LAYERS,
    "pull_address": _KNOWN_LAYERS,
    "pull_digest": _KNOWN_LAYERS,
    "pull_wrong_platform": _error("we add which platforms there are"),
    "image_size": _output("dockerd counts the length of symbolic links as bytes of the image"),
    "image_inspect_missing": _error(_NEWER, is_dated=True),
    # Starts that fail
    "exit_126_folder": _error(_RUNTIME),
    "exit_126_file": _error(_RUNTIME),
    "exit_127_path": _error(_RUNTIME),
    "exit_127_name": _error(_RUNTIME),
    "exit_127_leaves_created": _error(_RUNTIME),
    # What a container sees
    "mounts": _output("/proc/interrupts is masked, as current dockerd does", is_dated=True),
    "mount_options": _output("/proc/interrupts is masked; not every cgroup controller is mounted"),
    # The life of a container
    "created_kill": _error(_NEWER, is_dated=True),
    "kill_exited": _error(_NEWER, is_dated=True),
    "kill_bad_signal": _error(_NEWER, is_dated=True),
    "rm_running": _error(_NEWER, is_dated=True),
    "exec_exited": _error(_NEWER, is_dated=True),
    "rename_taken": _error(_WORDING),
    "filter_bad": _error("we add which filters there are"),
    "inspect_host": _output("the masked paths of current dockerd", is_dated=True),
    "exec_not_found": Difference(
        fields=("exit", "stdout", "stderr"),
        reason="127 as of `docker run`, the reason among the errors; dockerd 20.10: 126, output",
    ),
    "restarting_rm": _error(_NEWER, is_dated=True),
    "restart_unknown": _error(_NEWER, is_dated=True),
    "exec_privileged": Difference(
        fields=("exit", "stdout"),
        reason="every capability that root has here; dockerd 20.10 fails where root lacks one",
        is_dated=True,
    ),
    "version_too_new": _error("dockerlab speaks newer versions of the API", is_dated=True),
    "init_process": _output("the program is process 2: nothing of ours takes a number before it"),
    "privileged": Difference(
        fields=("exit", "stderr"),
        reason="what the host has is given; dockerd fails where root lacks a capability",
        is_dated=True,
    ),
    # Networks
    "network_driver": _error("we add that networks are bridges"),
    "network_filter_bad": _error("we add which filters there are"),
    "network_internal": Difference(
        fields=("exit", "stdout"),
        reason="an internal network has no route out, where dockerd 20.10 has one that is blocked",
    ),
    "network_rm_used": _error("without the id, and with what to do"),
    "network_ip_on_default": _error("we add what to do"),
    # Not yet
    "commit": _later("`docker commit`", *_ALL),
    "save": _later("`docker save`", *_ALL),
}

_HEAD = """\
# The docker command line client against both engines

`tests/compat/docker_script.sh` is one session of {steps} commands of the real `docker` client:
pulls, runs, input and output, exit statuses, what a container sees, the life of a container. The
test runs it against a dockerd with folders of its own and against dockerlab, and compares status,
output and errors of every command, with times and random ids blanked. Everything that is not in
this table is the same. A difference that is not listed here fails the test, and so does a line of
the table that is no longer true (where the age of dockerd is the reason, it may be).

Both engines are asked with API version 1.41, and dockerd has a bridge but writes no firewall rules.
`python -m tests.compat` writes this page from `tests/compat/differences.py`.

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
