"""The line of `%run_container` as a `RunRequest`: flags in, options of a run out.

It decides and does nothing. What an option means is in `client.options`; here is what only a line
has, such as the variables of the kernel and the cell's body.
"""

from collections.abc import Mapping

from dockerlab.client.options import RunOptions, make_request
from dockerlab.client.request import RunRequest
from dockerlab.errors import InvalidArgument
from dockerlab.notebook.options import Arguments

__all__ = ["run_request"]


def run_request(
    arguments: Arguments, environ: Mapping[str, str], stdin: bytes | None = None
) -> RunRequest:
    """Return what a parsed line of `%run_container` asks for.

    Parameters
    ----------
    arguments : Arguments
        Of `commands.RUN`.
    environ : Mapping
        Of the kernel: ``-e NAME`` without a value passes its value on.
    stdin : bytes or None
        The cell's body; None for a line.

    Raises
    ------
    InvalidArgument
        A value cannot be right, or flags contradict each other.
    """
    image, *command = arguments.operands
    is_detached = arguments.flag("detach")
    if is_detached and stdin is not None:
        raise InvalidArgument(
            "-d cannot be used with a cell: a container in the background reads no cell",
            "leave -d out, or use the line form: %run_container -d",
        )
    if stdin is None and arguments.flag("interactive") and not is_detached:
        # A line has nothing to read: the program sees the end of its input at once, and no cell
        # waits for ever for a keyboard that it does not have.
        stdin = b""
    options = RunOptions(
        name=arguments.text("name"),
        hostname=arguments.text("hostname"),
        labels=_labels(arguments.texts("label")),
        env=_environment(arguments.texts("env"), environ),
        workdir=arguments.text("workdir"),
        user=arguments.text("user"),
        entrypoint=arguments.text("entrypoint"),
        memory=arguments.text("memory"),
        cpus=arguments.text("cpus"),
        pids_limit=arguments.number("pids-limit", 0),
        network=arguments.text("network") or arguments.text("net"),
        cap_add=arguments.texts("cap-add"),
        cap_drop=arguments.texts("cap-drop"),
        read_only=arguments.flag("read-only"),
        rm=arguments.flag("rm"),
        detach=is_detached,
        interactive=arguments.flag("interactive"),
        input=stdin,
        pull=arguments.text("pull"),
        platform=arguments.text("platform"),
    )
    return make_request(image, command, options)


def _environment(texts: tuple[str, ...], environ: Mapping[str, str]) -> list[str]:
    passed = []
    for text in texts:
        name, equals, _ = text.partition("=")
        if not name:
            raise InvalidArgument(f'invalid variable: "{text}"', "write NAME=VALUE")
        if equals:
            passed.append(text)
        elif name in environ:
            passed.append(f"{name}={environ[name]}")
    return passed


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in texts)}
