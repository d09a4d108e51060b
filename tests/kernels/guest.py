"""The first process on the root of the emulated machine: run what is asked for, answer, power off.

Started by `init.sh` as a file. What is asked for is ``/run/answers/plan.json``: a command with its
folder and its environment; beside it come its output, and its exit status.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

_ANSWERS = Path("/run/answers")
_REBOOT, _MAGIC, _MAGIC2, _POWER_OFF = 169, 0xFEE1DEAD, 672274793, 0x4321FEDC  # linux/reboot.h


def main() -> None:
    """Run the command."""
    plan = json.loads((_ANSWERS / "plan.json").read_bytes())
    with (_ANSWERS / "output").open("wb") as output:
        status = _run(plan["command"], plan["environ"], plan["cwd"], output.fileno())
    (_ANSWERS / "status").write_text(str(status))


def _run(command: list[str], environ: dict[str, str], cwd: str, output: int) -> int:
    """Return the exit status of a program; whatever else ends meanwhile is reaped, as init does."""
    started = subprocess.Popen(
        command,
        env=environ,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    while True:
        pid, status = os.wait()
        if pid == started.pid:
            return os.waitstatus_to_exitcode(status)


def _power_off() -> None:
    import ctypes

    os.sync()
    ctypes.CDLL(None).syscall(_REBOOT, _MAGIC, _MAGIC2, _POWER_OFF, 0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        main()
    except BaseException:  # noqa: BLE001 - the kernel panics when its first process ends
        traceback.print_exc(file=sys.stderr)
    finally:
        _power_off()
