"""An unpacker for tests: each layer in a process of its own, started as the zygote is.

The engine's forks from the zygote; this one starts `python -I -S -E`, so the worker's rule of few
imports and its chroot are the real ones.
"""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dockerlab.errors import EngineFailure
from dockerlab.image.registry.unpacking import Unpacked, unpacked_from_report

__all__ = ["ProcessUnpacker", "unpack_in_process"]

_PROGRAM = """
import json, sys
arguments = json.loads(sys.argv[1])
sys.path[:] = arguments.pop("path") + sys.path
from dockerlab.image.layer.worker import unpack
unpack(arguments, arguments.pop("fds"))
"""


class _Job:
    def __init__(self, process: subprocess.Popen[bytes], report_fd: int) -> None:
        self._process = process
        self._report_fd = report_fd

    def result(self) -> Unpacked:
        with os.fdopen(self._report_fd, "rb") as report:
            line = report.readline()
        _, errors = self._process.communicate()
        if not line:
            raise EngineFailure(f"the layer worker died: {errors.decode()[-2000:]}")
        return unpacked_from_report(line)


class ProcessUnpacker:
    """Starts one process a layer; `started` counts them."""

    def __init__(self, limits: Mapping[str, int] | None = None) -> None:
        self._limits = dict(limits or {})
        self.started = 0

    def start(self, diff_id: str, staging: Path, media_type: str, data_fd: int) -> _Job:
        self.started += 1
        report_fd, their_report_fd = os.pipe()
        arguments: dict[str, Any] = {
            "staging": str(staging),
            "diff_id": diff_id,
            "media_type": media_type,
            "limits": self._limits,
            "fds": [data_fd, their_report_fd],
            "path": [str(Path(__file__).parents[2]), sysconfig.get_paths()["purelib"]],
        }
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-E", "-c", _PROGRAM, json.dumps(arguments)],
                pass_fds=(data_fd, their_report_fd),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        finally:
            os.close(their_report_fd)
            os.close(data_fd)
        return _Job(process, report_fd)


def unpack_in_process(
    layer: bytes, staging: Path, diff_id: str, limits: Mapping[str, int] | None = None
) -> Unpacked:
    """Unpack the compressed bytes of one layer; errors as the pull raises them."""
    data_fd = os.memfd_create("layer")
    os.write(data_fd, layer)
    os.lseek(data_fd, 0, os.SEEK_SET)
    return ProcessUnpacker(limits).start(diff_id, staging, "", data_fd).result()
