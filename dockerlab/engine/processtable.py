"""The table of a container's processes, as ``docker top`` shows it.

dockerd starts the host's ``ps``; the columns of its ``-ef``, which is what clients ask for when
nobody asked for others, are made here. See ps(1), proc(5).
"""

import asyncio
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from dockerlab.engine.usage import ProcessTable
from dockerlab.errors import EngineFailure, InvalidArgument, Unsupported
from dockerlab.runtime import procfs

__all__ = ["host_table", "own_table"]

_TITLES = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
_PS_TIMEOUT_S = 10.0
# Major numbers of Linux's pseudo terminals; Documentation/admin-guide/devices.txt.
_PTS_MAJORS = range(136, 144)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def own_table(pids: Sequence[int]) -> ProcessTable:
    """Return what ``ps -ef`` would show of some processes, those that are gone left out."""
    names = _user_names()
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    now = datetime.now().astimezone()
    rows = []
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            if (times := procfs.read_times(pid)) is not None:
                uid = procfs.read_uid(pid)
                arguments = procfs.read_arguments(pid)
                begin_s = booted + times.start_ticks / procfs.TICKS_PER_S
                rows.append(_row(times, names.get(uid, str(uid)), arguments, begin_s, now))
    return ProcessTable(_TITLES, rows)


def _row(
    times: procfs.ProcessTimes, user: str, arguments: list[str], begin_s: float, now: datetime
) -> list[str]:
    used_s = (times.user_ns + times.system_ns) / 1e9
    begin = datetime.fromtimestamp(begin_s).astimezone()
    percent = min(99, int(100 * used_s / max(now.timestamp() - begin_s, 1e-3)))
    command = " ".join(arguments) or f"[{times.name}]"
    if times.state == "Z":
        command += " <defunct>"
    return [
        user,
        str(times.pid),
        str(times.parent),
        str(percent),
        _start_text(begin, now),
        _terminal(times.terminal),
        _cpu_time(int(used_s)),
        # A program may put anything into its name; a terminal shall not obey it.
        _CONTROL.sub("?", command),
    ]


def _start_text(begin: datetime, now: datetime) -> str:
    if begin.date() == now.date():
        return begin.strftime("%H:%M")
    return begin.strftime("%b%d" if begin.year == now.year else "%Y")


def _cpu_time(seconds: int) -> str:
    """Return the time as ps does.

    Examples
    --------
    >>> _cpu_time(59), _cpu_time(90061)
    ('00:00:59', '1-01:01:01')
    """
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    text = f"{hour:02}:{minute:02}:{second:02}"
    return f"{days}-{text}" if days else text


def _terminal(number: int) -> str:
    major, minor = os.major(number), os.minor(number)
    if major in _PTS_MAJORS:
        return f"pts/{(major - _PTS_MAJORS.start) * 256 + minor}"
    return "?"


def _user_names() -> dict[int, str]:
    """Return the host's names of users: passwd(5), and no directory service."""
    try:
        text = Path("/etc/passwd").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    rows = [line.split(":") for line in text.splitlines()]
    return {int(row[2]): row[0] for row in reversed(rows) if len(row) > 2 and row[2].isdigit()}  # noqa: PLR2004 - name, password, number


async def host_table(arguments: Sequence[str], pids: Sequence[int]) -> ProcessTable:
    """Return what the host's ``ps`` shows of some processes.

    Parameters
    ----------
    arguments : sequence of str
        Those of ps; the columns must contain PID, by which its rows are told apart.

    Raises
    ------
    InvalidArgument
        ps refuses its arguments, or shows no PID.
    Unsupported
        The host has no ps.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            "ps",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as exc:
        raise Unsupported(
            "options of ps need the host's ps, which is not installed",
            'leave them out ("-ef" is built in), or install procps',
        ) from exc
    try:
        output, errors = await asyncio.wait_for(process.communicate(), _PS_TIMEOUT_S)
    except TimeoutError as exc:
        process.kill()
        await process.wait()
        raise EngineFailure("ps did not end within 10 s") from exc
    if process.returncode:
        # What follows its first line is how ps is used.
        reason = errors.decode("utf-8", "replace").strip().partition("\n")[0]
        raise InvalidArgument(f"ps: {reason[:400]}")
    return _parse(output.decode("utf-8", "replace"), {str(pid) for pid in pids})


def _parse(text: str, pids: set[str]) -> ProcessTable:
    lines = text.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidArgument("Couldn't find PID field in ps output")
    column, last = titles.index("PID"), len(titles) - 1
    rows = []
    for line in lines[1:]:
        # The last column is the command, which may hold blanks.
        words = line.split(None, last)
        if len(words) > column and words[column] in pids:
            rows.append([_CONTROL.sub("?", word.rstrip()) for word in words])
    return ProcessTable(titles, rows)
