"""Who pulls in `pull`: the docker client on two engines, podman, and a shell as the limit."""

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Protocol

import docker

__all__ = ["Docker", "Limit", "Podman", "Puller", "resident_bytes"]

_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class Puller(Protocol):
    """What is measured."""

    def pull(self, reference: str) -> None:
        """Get an image."""
        ...

    def empty(self) -> None:
        """Remove all images."""
        ...


class Docker:
    """``docker pull`` on the engine at an address."""

    def __init__(self, address: str) -> None:
        self._environ = os.environ | {"DOCKER_HOST": address}
        self._client = docker.DockerClient(base_url=address, version="1.41", timeout=600)

    def pull(self, reference: str) -> None:
        """Get an image."""
        command = ["docker", "pull", "--quiet", reference]
        subprocess.run(command, env=self._environ, check=True, stdout=subprocess.DEVNULL)

    def empty(self) -> None:
        """Remove all images."""
        for image in self._client.images.list():
            self._client.images.remove(str(image.id), force=True)


class Podman:
    """``podman pull`` into a storage of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        # Locks in files: those in shared memory are common to every podman of the host.
        configuration = folder / "containers.conf"
        configuration.write_text('[engine]\nlock_type = "file"\n')
        self._environ = os.environ | {"CONTAINERS_CONF": str(configuration)}
        self._command = [
            "podman",
            f"--root={folder}/storage",
            f"--runroot={folder}/run",
            f"--tmpdir={folder}/tmp",
            "--storage-driver=overlay",
            "--cgroup-manager=cgroupfs",
            "--events-backend=none",
        ]

    def pull(self, reference: str) -> None:
        """Get an image."""
        self._run("pull", "--quiet", "--tls-verify=false", reference)

    def empty(self) -> None:
        """Remove all images."""
        self._run("rmi", "--all", "--force")

    def _run(self, *arguments: str) -> None:
        command = [*self._command, *arguments]
        subprocess.run(command, env=self._environ, check=True, stdout=subprocess.DEVNULL)


class Limit:
    """A shell: for each layer, all at once, curl, igzip and tar into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pull(self, reference: str) -> None:
        """Unpack the layers."""
        address, _, name = reference.rpartition(":")[0].partition("/")
        base = f"http://{address}/v2/{name}"
        manifest = _manifest(f"{base}/manifests/latest")
        if "manifests" in manifest:
            manifest = _manifest(f"{base}/manifests/{manifest['manifests'][0]['digest']}")
        script = 'curl -s "$0" | igzip -dc | tar -xp --numeric-owner -C "$1"'
        running = []
        for number, layer in enumerate(manifest["layers"]):
            target = self._folder / str(number)
            target.mkdir(parents=True)
            command = ["sh", "-c", script, f"{base}/blobs/{layer['digest']}", str(target)]
            running.append(subprocess.Popen(command))
        if any([process.wait() for process in running]):  # noqa: C419 - wait for all
            raise RuntimeError(f"the shell could not unpack {reference}")

    def empty(self) -> None:
        """Remove what it has unpacked."""
        shutil.rmtree(self._folder, ignore_errors=True)


def resident_bytes(pid: int) -> int:
    """Return the proportional set size of a process and all that descend from it."""
    total = 0
    waiting = [pid]
    while waiting:
        each = waiting.pop()
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii")
            tasks = list(Path(f"/proc/{each}/task").iterdir())
            children = [(task / "children").read_text(encoding="ascii") for task in tasks]
        except OSError:  # it ended meanwhile
            continue
        total += next(int(li.split()[1]) for li in rollup.splitlines() if li.startswith("Pss:"))
        waiting += [int(child) for text in children for child in text.split()]
    return total * 1024


def _manifest(url: str) -> dict[str, list[dict[str, str]]]:
    request = urllib.request.Request(url, headers={"Accept": ", ".join(_TYPES)})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, list[dict[str, str]]] = json.load(answer)
    return found
