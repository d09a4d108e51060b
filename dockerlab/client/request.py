"""What to run, and what came of it: the records of `run`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

from dockerlab.client.timeline import Timeline

__all__ = ["PullPolicy", "RunOutcome", "RunRequest"]

PullPolicy = Literal["missing", "always", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to run.

    Parameters
    ----------
    image : str
        Reference or id.
    command : tuple of str
        In place of the image's; () keeps that.
    name : str
        '' lets the engine choose one.
    platform : str
        ``os/architecture[/variant]``; '' is the engine's own.
    config : Mapping
        Fields of the Engine API's ContainerConfig, such as ``{"Env": ["A=1"], "Tty": True}``.
    host_config : Mapping
        Fields of its HostConfig, such as ``{"AutoRemove": True, "NetworkMode": "none"}``.
    stdin : bytes, file or None
        The container's standard input, closed behind it at its end; None gives it none.
    is_detached : bool
        Start it and return; its output goes to its log only.
    keep_stdin_open : bool
        Of a detached container, for who attaches later.
    pull : str
        ``missing``, ``always`` or ``never``.
    """

    image: str
    command: tuple[str, ...] = ()
    name: str = ""
    platform: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    host_config: Mapping[str, Any] = field(default_factory=dict)
    stdin: bytes | BinaryIO | None = None
    is_detached: bool = False
    keep_stdin_open: bool = False
    pull: PullPolicy = "missing"

    @property
    def is_auto_removed(self) -> bool:
        """Whether the engine removes the container at its exit (``--rm``)."""
        return bool(self.host_config.get("AutoRemove"))

    @property
    def has_terminal(self) -> bool:
        """Whether the container gets a terminal (``-t``), and with it one stream without frames."""
        return bool(self.config.get("Tty"))

    def payload(self) -> dict[str, Any]:
        """Return the body of ``POST /containers/create``."""
        is_attached = not self.is_detached
        has_input = self.stdin is not None and is_attached
        body: dict[str, Any] = {
            "Image": self.image,
            "AttachStdin": has_input,
            "AttachStdout": is_attached,
            "AttachStderr": is_attached,
            "OpenStdin": has_input or self.keep_stdin_open,
            "StdinOnce": has_input,
        }
        if self.command:
            body["Cmd"] = list(self.command)
        return {**body, **self.config, "HostConfig": dict(self.host_config)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What came of it.

    Parameters
    ----------
    exit_code : int or None
        The container's; None for a detached one.
    stdout, stderr : bytes
        All that it wrote while attached; with a terminal everything is `stdout`.
    container_id, name : str
        `name` is '' when the engine chose one and the container is gone already.
    image : str
        Familiar reference, or the id that was given.
    timeline : Timeline
        Where the time went.
    was_cached : bool
        No pull was needed.
    interrupted : bool
        The user has interrupted it, and it was stopped.
    """

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    container_id: str
    name: str
    image: str
    timeline: Timeline
    was_cached: bool
    interrupted: bool = False
