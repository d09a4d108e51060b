"""Run the script of docker commands against an engine, and compare two runs."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FIELDS", "Mismatch", "Step", "compare", "run_session", "step_names"]

FIELDS = ("exit", "stdout", "stderr")

_SCRIPT = Path(__file__).with_name("docker_script.sh")
_TIMEOUT_S = 540
# Both engines are asked in the dialect of the older one, or every difference of version would show.
_API_VERSION = "1.41"

_STEP = re.compile(r"^(?:step|shell) (\w+) ", re.MULTILINE)
_ID = re.compile(r"\b[0-9a-f]{12}(?:[0-9a-f]{52})?\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_AGE = re.compile(
    r"\b(?:less than a second|(?:about )?an? (?:minute|hour)|"
    r"\d+ (?:second|minute|hour|day|week|month|year)s?)(?: ago)?\b",
    re.IGNORECASE,
)
# Whether a client shows these depends on who is quicker: the download and the client's reading, an
# older client's two connections when a start fails.
_PASSING = re.compile(
    r"^(?:[0-9a-f]{12}: (?:Verifying Checksum|Download complete)"
    r'|time=".*" level=error msg="error waiting for container: context canceled" ?)\n',
    re.MULTILINE,
)
# Columns are as wide as what was in them before.
_PADDING = re.compile(r"[ \t]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one command did: its status and what it wrote."""

    exit: str
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A field of a step in which two engines differ, with both normalised texts."""

    step: str
    field: str
    theirs: str
    ours: str


def run_session(address: str, registry: str) -> dict[str, Step]:
    """Run the script against the engine at `address`; steps in their order.

    Parameters
    ----------
    address : str
        As ``DOCKER_HOST``.
    registry : str
        ``host:port`` of the registry that the engine has as its mirror.
    """
    with tempfile.TemporaryDirectory(prefix="dockerlab-compat-") as folder:
        results = Path(folder) / "results"
        results.mkdir()
        environ = os.environ | {
            "DOCKER_HOST": address,
            "DOCKER_API_VERSION": _API_VERSION,
            "DOCKER_CONFIG": folder,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }
        command = [str(_SCRIPT), str(results), registry]
        subprocess.run(
            command, env=environ, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_S, check=True
        )
        finished = sorted(results.glob("*.exit"), key=lambda path: path.stat().st_mtime_ns)
        return {path.stem: _read(path) for path in finished}


def step_names() -> list[str]:
    """Return the names of the script's steps in their order."""
    return _STEP.findall(_SCRIPT.read_text(encoding="utf-8"))


def compare(theirs: Mapping[str, Step], ours: Mapping[str, Step]) -> list[Mismatch]:
    """Return where two sessions differ once times and random ids are out of the way."""
    shared = _ids(theirs.values()) & _ids(ours.values())
    found = []
    for name in theirs:
        for field in FIELDS:
            their_text = _normalise(getattr(theirs[name], field), shared)
            our_text = _normalise(getattr(ours[name], field), shared)
            if their_text != our_text:
                found.append(Mismatch(step=name, field=field, theirs=their_text, ours=our_text))
    return found


def _read(path: Path) -> Step:
    def text(suffix: str) -> str:
        return path.with_suffix(suffix).read_text(encoding="utf-8", errors="replace")

    return Step(exit=text(".exit"), stdout=text(".out"), stderr=text(".err"))


def _ids(steps: Iterable[Step]) -> set[str]:
    return {
        found
        for step in steps
        for text in (step.stdout, step.stderr)
        for found in _ID.findall(text)
    }


def _normalise(text: str, shared: set[str]) -> str:
    """Blank what differs from run to run; an id that both engines show is an image's, and stays."""
    text = _PASSING.sub("", text)
    text = _TIME.sub("<time>", text)
    text = _AGE.sub("<age>", text)
    text = _ID.sub(lambda match: match[0] if match[0] in shared else "<id>", text)
    return _PADDING.sub("  ", text)
