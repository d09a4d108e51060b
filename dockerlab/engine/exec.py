"""The record of an exec: one more process in a running container."""

import msgspec

from dockerlab.engine.container import ContainerId

__all__ = ["Exec", "ExecConfig"]


class ExecConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What to execute. '' and () take the container's own values."""

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    privileged: bool = False
    detach_keys: str = ""
    console_size: tuple[int, int] = (0, 0)


class Exec(msgspec.Struct, frozen=True, kw_only=True):
    """One exec instance; `exit_code` is None until it ended, `pid` 0 until it started."""

    id: str
    container_id: ContainerId
    config: ExecConfig
    is_running: bool = False
    exit_code: int | None = None
    pid: int = 0
