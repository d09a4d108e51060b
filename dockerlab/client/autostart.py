"""Start an engine as a process of its own, and wait until it listens.

As ssh-agent and gpg-agent are: whoever needs it first starts it, and it outlives whoever started
it. The engine itself is another program (``python -m dockerlab.daemon``); this file only knows its
command line and its readiness descriptor. `ensure_engine` is the way in.
"""

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dockerlab.config import Settings, process_environment
from dockerlab.errors import DockerlabError, EngineFailure, Unavailable, Unsupported

__all__ = [
    "EngineProcess",
    "daemon_command",
    "daemon_environment",
    "ensure_engine",
    "is_listening",
    "log_tail",
]

# A cold Python with all its modules on a slow disk takes seconds, not a minute.
READY_TIMEOUT_S = 60.0
# How long an engine that has stopped listening may take to end.
PREVIOUS_END_TIMEOUT_S = 3.0
LOG_TAIL_LINES = 12
LOG_TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProcess:
    """An engine that listens; `was_started` tells whether this call has started it."""

    socket_path: Path
    pid: int
    was_started: bool


def ensure_engine(settings: Settings) -> EngineProcess:
    """Start the engine of these settings unless one listens already.

    Of several clients that call this at once, one starts the engine and the others wait for it: the
    kernel's file lock is what they queue at, and nobody polls.

    Parameters
    ----------
    settings : Settings
        Which data root, and where the engine is to listen.

    Raises
    ------
    EngineFailure
        It ended before it listened; the message has the end of its log.
    Unavailable
        It did not get ready in time.
    Unsupported
        This system is not Linux.
    """
    if is_listening(settings.socket_path):
        return _running(settings)
    if sys.platform != "linux":
        raise Unsupported(
            "dockerlab's own engine needs Linux",
            hint="use a Docker or Podman socket: %engine docker",
        )
    _make_data_root(settings)
    with _start_lock(settings):
        # Whoever held the lock before may have started it.
        if is_listening(settings.socket_path):
            return _running(settings)
        try:
            return _start(settings)
        except DockerlabError:
            # An engine started in another way, as by a supervisor, may have won the race for the
            # data root; then all is well. Or one that ends, as when idle, still holds it.
            if is_listening(settings.socket_path):
                return _running(settings)
            if not _previous_has_ended(settings):
                raise
        return _start(settings)


def is_listening(socket_path: Path) -> bool:
    """Tell whether a connection to the socket is accepted."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5.0)
        try:
            probe.connect(os.fspath(socket_path))
        except TimeoutError:
            # The queue of waiting connections is full: somebody listens, and is busy.
            return True
        except OSError:
            return False
    return True


def daemon_command(settings: Settings, *, ready_fd: int | None = None) -> list[str]:
    """Return the command line of an engine with these settings."""
    # -P: no module may come from the folder that the engine happens to be started in.
    command = [sys.executable, "-P", "-m", "dockerlab.daemon"]
    command += ["--root", str(settings.data_root), "--socket", str(settings.socket_path)]
    for mirror in settings.mirrors:
        command += ["--mirror", mirror]
    if ready_fd is not None:
        command += ["--ready-fd", str(ready_fd)]
    return command


def log_tail(log_path: Path, begin: int = 0) -> str:
    """Return the last lines of an engine's log, none of those before byte `begin`."""
    try:
        with log_path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(begin, end - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])


def _running(settings: Settings) -> EngineProcess:
    return EngineProcess(socket_path=settings.socket_path, pid=0, was_started=False)


def _make_data_root(settings: Settings) -> None:
    try:
        settings.data_root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise EngineFailure(
            f'cannot make the folder "{settings.data_root}" for the engine: {exc.strerror}',
            hint="choose another place with DOCKERLAB_ROOT",
        ) from exc


@contextmanager
def _start_lock(settings: Settings) -> Iterator[None]:
    fd = os.open(settings.data_root / "start.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        # Closing gives the lock back: the engine has no copy of this descriptor (O_CLOEXEC).
        os.close(fd)


def _previous_has_ended(settings: Settings) -> bool:
    """Wait for the end of the engine that holds the data root; False when it goes on, or is none.

    Its lock file has its process id. Nothing is done to that process, so that a number which means
    another one by now costs a moment only.
    """
    try:
        pid = int((settings.data_root / "lock").read_text(encoding="ascii"))
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    try:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        return bool(poll.poll(PREVIOUS_END_TIMEOUT_S * 1000))
    finally:
        os.close(process)


def _start(settings: Settings) -> EngineProcess:
    ready, ready_end = os.pipe()
    try:
        log_fd = os.open(
            settings.log_path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        try:
            log_begin = os.fstat(log_fd).st_size
            process = subprocess.Popen(
                daemon_command(settings, ready_fd=ready_end),
                stdin=subprocess.DEVNULL,
                stdout=log_fd,
                stderr=log_fd,
                # The engine must not keep a mounted file system busy, as a notebook's folder is.
                cwd="/",
                env=daemon_environment(),
                # No terminal's or notebook's interrupt may reach it.
                start_new_session=True,
                pass_fds=(ready_end,),
            )
        finally:
            os.close(log_fd)
    finally:
        os.close(ready_end)
    # Somebody has to wait for it, or it stays a zombie as long as the notebook lives.
    threading.Thread(target=process.wait, name="dockerlab-engine-wait", daemon=True).start()
    try:
        answer = _read_ready(ready, time.monotonic() + READY_TIMEOUT_S)
    except BaseException:
        process.terminate()
        raise
    finally:
        os.close(ready)
    return _judge(answer, settings, log_begin)


def daemon_environment() -> Mapping[str, str]:
    """Return the environment of an engine: this process's, with the way to this very package."""
    environ = dict(process_environment())
    # Relative entries are meant from here, not from where the engine lives.
    paths = [os.path.abspath(p) for p in environ.get("PYTHONPATH", "").split(os.pathsep) if p]  # noqa: PTH100 - no symlink is resolved
    folder = str(Path(__file__).resolve().parents[2])
    # A source folder may be on the path of this process only. An installed package is found anyway,
    # and its folder must not come before the standard library.
    if Path(folder).name not in {"site-packages", "dist-packages"} and folder not in paths:
        paths.insert(0, folder)
    if paths:
        environ["PYTHONPATH"] = os.pathsep.join(paths)
    return environ


def _read_ready(fd: int, deadline_s: float) -> bytes:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    answer = b""
    while b"\n" not in answer:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise Unavailable(
                f"the engine was started but did not get ready within {READY_TIMEOUT_S:.0f} s",
                hint="see `dockerlab engine logs`",
            )
        data = os.read(fd, 65536)
        if not data:
            break
        answer += data
    return answer


def _judge(answer: bytes, settings: Settings, log_begin: int) -> EngineProcess:
    if not answer:
        tail = log_tail(settings.log_path, log_begin) or "(its log is empty)"
        raise EngineFailure(
            f"the engine ended before it was ready; the end of its log:\n{tail}",
            hint=f'the whole log is in "{settings.log_path}"',
        )
    try:
        values = json.loads(answer)
    except ValueError as exc:
        raise EngineFailure(f"the engine announced itself with {answer[:200]!r}") from exc
    if "error" in values:
        raise EngineFailure(
            f"the engine did not start: {values['error']}",
            hint=values.get("hint") or f'its log is "{settings.log_path}"',
        )
    return EngineProcess(
        socket_path=Path(values["socket"]), pid=int(values["pid"]), was_started=True
    )
