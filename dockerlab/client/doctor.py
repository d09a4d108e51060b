"""Ask what this host can do: `dockerlab.doctor` as a process, its answer as values.

No engine has to run, and none is started. The faces import nothing below the socket, so this is
how they come to know the host.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from dockerlab.client.autostart import daemon_environment
from dockerlab.errors import EngineFailure, Unsupported

__all__ = ["doctor_command", "examine_host"]

# Each probe has its own, shorter limit.
TIMEOUT_S = 240.0
_IN_A_TERMINAL = "see `dockerlab doctor` in a terminal"


def doctor_command(*arguments: str) -> list[str]:
    """Return the command line of a doctor.

    Raises
    ------
    Unsupported
        This system is not Linux.
    """
    if sys.platform != "linux":
        raise Unsupported(
            "dockerlab's own engine needs Linux, so there is nothing to examine",
            hint="use a Docker or Podman socket: %engine docker",
        )
    return [sys.executable, "-P", "-m", "dockerlab.doctor", *arguments]


def examine_host(arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Return the report of `dockerlab.doctor`.

    Parameters
    ----------
    arguments : sequence of str
        Of its command line, without ``--json``.

    Raises
    ------
    EngineFailure
        The process ended without a report, or does not end.
    Unsupported
        This system is not Linux.
    """
    try:
        done = subprocess.run(
            doctor_command("--json", *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=daemon_environment(),
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineFailure(
            f"this host was not examined within {TIMEOUT_S:.0f} s", hint=_IN_A_TERMINAL
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise EngineFailure(
            f"cannot examine this host: {said[-1] if said else f'exit {done.returncode}'}",
            hint=_IN_A_TERMINAL,
        )
    report: dict[str, Any] = json.loads(done.stdout)
    return report
