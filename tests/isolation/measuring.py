"""Run the probe on an engine: one image, one run for its facts, two for limits that bite."""

import gzip
import json
import os
import platform
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError

from dockerlab.hub.fromhost import IMAGE_PATH, Recipe, plan, python_program
from dockerlab.hub.pack import pack
from tests.support.registry import push_image

__all__ = ["FACTS", "IMAGE", "Facts", "differing", "measure", "push_probe"]

Facts = dict[str, str]

IMAGE = "probe"
# How many there are, for the page.
FACTS = 134
_PROBE = Path(__file__).with_name("inside.py")
_PIDS = 40
_MEMORY = "48m"
_BOMB = """
import os, time
n = 0
try:
    for n in range(200):
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
except OSError as error:
    print("held at", n + 1, type(error).__name__)
else:
    print("not held")
"""
_GLUTTON = "x = b'x' * (1 << 28); print(len(x))"


def push_probe(address: str) -> None:
    """Push an image of this machine's Python to a registry, as ``library/probe``."""
    with tempfile.TemporaryDirectory() as folder:
        root = plan(Recipe(programs=(python_program(),)))
        stored = pack(root, Path(folder), labels={}, made_by="tests")
        layer = gzip.decompress(stored.layer.read_bytes())
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    libraries = ":".join(root.library_folders)
    env = [f"PATH={IMAGE_PATH}", *([f"LD_LIBRARY_PATH={libraries}"] if libraries else [])]
    push_image(
        address, f"library/{IMAGE}", "latest", [layer], config={"Env": env},
        architecture=architecture,
    )  # fmt: skip


def measure(client: docker.DockerClient) -> Facts:
    """Return what the probe finds on an engine."""
    client.images.pull(IMAGE, tag="latest")
    with _listening() as name:
        links = {link.name: str(link.readlink()) for link in Path("/proc/self/ns").iterdir()}
        argument = json.dumps({**links, "socket": name})
        answer = _run(client, _PROBE.read_text(encoding="utf-8"), argument)
    facts: Facts = json.loads(answer["output"])
    bomb = _run(client, _BOMB, pids_limit=_PIDS)
    facts["fork bomb"] = bomb["output"].strip()
    glutton = _run(client, _GLUTTON, mem_limit=_MEMORY, memswap_limit=_MEMORY)
    facts["too much memory"] = f"{glutton['output'].strip()} {glutton['end']}".strip()
    return facts


def differing(theirs: Facts, ours: Facts) -> dict[str, tuple[str, str]]:
    """Return the facts that are not the same, with both values."""
    return {
        name: (theirs.get(name, "-"), ours.get(name, "-"))
        for name in sorted(theirs | ours)
        if theirs.get(name) != ours.get(name)
    }


def _run(client: docker.DockerClient, program: str, *arguments: str, **options: Any) -> Facts:
    command = ["python3", "-I", "-S", "-c", program, *arguments]
    try:
        container = client.containers.create(
            IMAGE, command, network_mode="none", hostname="probe", **options
        )
    except APIError as error:
        return {"output": f"refused: {error.explanation}", "end": ""}
    try:
        container.start()
        code = container.wait()["StatusCode"]
        container.reload()
        killed = container.attrs["State"]["OOMKilled"]
        output = container.logs(stdout=True, stderr=False).decode()
        errors = container.logs(stdout=False, stderr=True).decode()
        if code not in (0, 137):
            raise RuntimeError(f"the probe failed with {code}: {errors}")
        return {"output": output, "end": f"exit {code}, OOMKilled {killed}"}
    finally:
        container.remove(force=True)


@contextmanager
def _listening() -> Iterator[str]:
    """Listen on an abstract socket of the host's network namespace; unix(7)."""
    name = f"dockerlab-probe-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        yield name
