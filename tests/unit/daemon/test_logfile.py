import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, os, pathlib, sys
from dockerlab.daemon.logfile import log_to_file, log_to_stderr
{begin}
logging.getLogger("dockerlab.daemon").info("said %d", 1)
os.write(2, b"straight to standard error\\n")
print(repr(sys.stdin.read()))
"""


def run(begin: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(begin=begin), *arguments],
        input="not for a daemon",
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )


def test_a_daemon_leaves_the_terminal_for_its_file(tmp_path: Path) -> None:
    path = tmp_path / "root" / "engine.log"
    done = run("log_to_file(pathlib.Path(sys.argv[1]))", str(path))
    text = path.read_text()
    assert (done.stdout, done.stderr) == ("", "")
    assert "INFO dockerlab.daemon: said 1\n" in text
    assert "straight to standard error\n" in text
    assert "''" in text
    assert path.stat().st_mode & 0o777 == 0o600


def test_in_the_foreground_the_log_is_standard_error() -> None:
    assert "INFO dockerlab.daemon: said 1\n" in run("log_to_stderr()").stderr
