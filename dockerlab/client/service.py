"""An engine as a systemd service, so that it is there again after a reboot: its unit file.

A user's engine is a user unit (``$XDG_CONFIG_HOME/systemd/user``), root's a system unit
(``/etc/systemd/system``). The file is all that is written: systemd is told by the user, with the
command that `Service.enable_command` gives. See systemd.service(5), systemd.unit(5).
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dockerlab.client.autostart import daemon_environment
from dockerlab.config import Settings, config_path, load_settings
from dockerlab.errors import Conflict, EngineFailure, InvalidArgument, Unsupported

__all__ = ["Service", "install", "service_of", "uninstall"]

# sd_booted(3): the folder is there when systemd is what runs the machine.
BOOTED = Path("/run/systemd/system")
SYSTEM_UNITS = Path("/etc/systemd/system")
# Whose file it is: no other is replaced or removed.
MARK = "# Written by `dockerlab engine install`; changes are lost at the next one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A unit file.

    Parameters
    ----------
    path : Path
        Where it belongs.
    text : str
        All of it.
    is_system : bool
        Of the machine, not of one user.
    """

    path: Path
    text: str
    is_system: bool

    @property
    def enable_command(self) -> str:
        """What makes systemd start it now and at each boot."""
        control = self._control
        return f"{control} daemon-reload && {control} enable --now {self.path.name}"

    @property
    def disable_command(self) -> str:
        """What makes systemd end it and forget it; containers go on."""
        return f"{self._control} disable --now {self.path.name}"

    @property
    def _control(self) -> str:
        return "systemctl" if self.is_system else "systemctl --user"


def service_of(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    uid: int | None = None,
    system_units: Path = SYSTEM_UNITS,
) -> Service:
    """Return the unit of an engine; nothing is written.

    Parameters
    ----------
    settings : Settings
        Which data root, socket and mirrors. Another root than the user's usual one has a unit of
        another name, so that both can be installed.
    environ : Mapping
        The environment: where the user's configuration is.
    uid : int, optional
        The user; by default the effective one of this process. 0 has a system unit.
    system_units : Path
        In place of ``/etc/systemd/system``.

    Raises
    ------
    InvalidArgument
        A path has a line break, which a unit file cannot hold.
    """
    user = os.geteuid() if uid is None else uid
    is_system = user == 0
    # config.toml's folder is dockerlab's; the units' is beside it.
    folder = system_units if is_system else config_path(environ).parents[1] / "systemd" / "user"
    usual = load_settings({**environ, "DOCKERLAB_ROOT": ""}, uid=user).data_root
    suffix = "" if settings.data_root == usual else f"-{settings.runtime_dir.name}"
    return Service(
        path=folder / f"dockerlab{suffix}.service",
        text=_text(settings, daemon_environment().get("PYTHONPATH", ""), is_system=is_system),
        is_system=is_system,
    )


def install(service: Service, *, booted: Path = BOOTED) -> bool:
    """Write a unit file; tell whether it was changed.

    Parameters
    ----------
    service : Service
        The file.
    booted : Path
        In place of ``/run/systemd/system``.

    Raises
    ------
    Unsupported
        systemd does not run here.
    Conflict
        There is a file of this name that is somebody else's.
    EngineFailure
        It cannot be written.

    Notes
    -----
    The file is there as a whole or as it was before.
    """
    if not booted.is_dir():
        raise Unsupported(
            "cannot install a service: systemd does not run this machine",
            hint="start the engine from what does: dockerlab engine start --foreground;"
            " --print shows the unit all the same",
        )
    before = _own_text(service.path)
    if before == service.text:
        return False
    temporary = service.path.with_name(f".{service.path.name}.new")
    try:
        service.path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(service.text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(service.path)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise EngineFailure(
            f'cannot write the unit "{service.path}": {exc.strerror}',
            hint="--print shows it, to be written elsewhere",
        ) from exc
    return True


def uninstall(service: Service) -> bool:
    """Remove a unit file; tell whether there was one.

    Raises
    ------
    Conflict
        It is somebody else's.
    EngineFailure
        It cannot be removed.
    """
    if not _own_text(service.path):
        return False
    try:
        service.path.unlink()
    except OSError as exc:
        raise EngineFailure(f'cannot remove the unit "{service.path}": {exc.strerror}') from exc
    return True


def _own_text(path: Path) -> str:
    """Return what is in a unit file of ours; '' where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as exc:
        raise EngineFailure(f'cannot read the unit "{path}": {exc}') from exc
    if not text.startswith(MARK):
        raise Conflict(
            f'the unit "{path}" was not written by dockerlab', "move it away, or keep it and go on"
        )
    return text


def _text(settings: Settings, python_path: str, *, is_system: bool) -> str:
    command = [sys.executable, "-P", "-m", "dockerlab", "engine", "start", "--foreground"]
    command += ["--root", str(settings.data_root), "--socket", str(settings.socket_path)]
    for mirror in settings.mirrors:
        command += ["--mirror", mirror]
    environment = ["DOCKERLAB_IDLE_EXIT=0"]
    if python_path:
        environment.append(f"PYTHONPATH={python_path}")
    target = "multi-user.target" if is_system else "default.target"
    return f"""{MARK}
[Unit]
Description=dockerlab container engine
StartLimitIntervalSec=60

[Service]
Type=simple
ExecStart={_quoted(command)}
{"".join(f"Environment={_quoted([line], is_command=False)}{chr(10)}" for line in environment)}\
Restart=on-failure
RestartSec=1
# Containers outlive their engine: only the engine itself is ended.
KillMode=process
# The engine makes cgroups of its own below the service's.
Delegate=yes

[Install]
WantedBy={target}
"""


def _quoted(words: Sequence[str], *, is_command: bool = True) -> str:
    """Return words as a unit file holds them: systemd.syntax(7), "Quoting"; systemd.service(5)."""
    text = []
    for word in words:
        if "\n" in word or "\r" in word or "\0" in word:
            raise InvalidArgument(
                f"cannot put {word!r} into a unit file", "choose a path without line breaks"
            )
        # %% is a per cent sign in all of a unit, $$ a dollar sign in a command line.
        escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        if is_command:
            escaped = escaped.replace("$", "$$")
        is_plain = word and not set(word) & set(" \t\"'\\;")
        text.append(escaped if is_plain else f'"{escaped}"')
    return " ".join(text)
