"""Hosts that are containers of our own engine, which gives what Docker gives by default.

That is Docker's seccomp profile, capabilities, masked and read-only files, on an overlay. The image
has Debian's Python, the package, and the programs that the doctor looks for.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dockerlab
from tests.hosts.report import PYTHON, Report
from tests.support.engine import EngineUnderTest

__all__ = ["ContainedHost", "examine_containers"]

_IMAGE = "host"
_PROGRAMS = ("sh", "newuidmap", "newgidmap", "proot")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainedHost:
    """One container.

    Parameters
    ----------
    title, tier, lacks
        As a `SimulatedHost` has them.
    user : str
        As ``--user`` takes it.
    tools : tuple of str
        Programs on the PATH that the doctor looks for.
    """

    title: str
    tier: str
    lacks: tuple[str, ...]
    user: str
    tools: tuple[str, ...] = ()


def examine_containers(hosts: Mapping[str, ContainedHost]) -> dict[str, Report]:
    """Return the doctor's report from each; they are containers of one engine and one image."""
    base = Path(tempfile.mkdtemp(prefix="dl-host-"))
    engine = EngineUnderTest()
    try:
        base.chmod(0o755)
        package = base / "lib/dockerlab"
        shutil.copytree(
            Path(dockerlab.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
        )
        for host in hosts.values():
            _folder(base, host).mkdir(parents=True, exist_ok=True)
            for name in host.tools:
                (_folder(base, host) / name).symlink_to(shutil.which(name) or name)
        engine.start()
        _make_image(engine, base)
        return {name: _examine(engine, base, host) for name, host in hosts.items()}
    finally:
        engine.close()
        shutil.rmtree(base)


def _folder(base: Path, host: ContainedHost) -> Path:
    """Return the one folder of the host's PATH."""
    return base / "bin" / ("-".join(host.tools) or "none")


def _make_image(engine: EngineUnderTest, base: Path) -> None:
    """Make the image of this machine's programs, with the base folder where it is here."""
    command = [sys.executable, "-m", "dockerlab", "image", "from-host", "--name", _IMAGE]
    command += ["--root", str(engine.root), "--socket", str(engine.socket)]
    command += ["--python", "--add", str(base)]
    programs = [name for name in _PROGRAMS if shutil.which(name)]
    done = subprocess.run(
        [*command, *programs],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(base / "lib")},
    )
    assert done.returncode == 0, done.stderr


def _examine(engine: EngineUnderTest, base: Path, host: ContainedHost) -> Report:
    environ = {"PATH": str(_folder(base, host)), "PYTHONPATH": str(base / "lib")}
    output = engine.connect().containers.run(
        _IMAGE,
        [PYTHON, "-P", "-m", "dockerlab.doctor", "--json", "--root", "/tmp"],
        environment={**environ, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
        user=host.user,
        remove=True,
        # With limits it has, as in Docker, the folders of all controllers before it, read-only.
        mem_limit="1g",
        nano_cpus=1_000_000_000,
        pids_limit=100,
    )
    report: Report = json.loads(bytes(output).decode().replace(str(base), "/srv"))
    return report
