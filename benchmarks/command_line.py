"""Contenders that are programs: podman and crun, with folders of their own."""

import io
import json
import os
import re
import subprocess
import tarfile
import time
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["Crun", "Podman"]


class Podman:
    """``podman run --rm --network none`` with crun, as its packagers set it up.

    Parameters
    ----------
    folder : Path
        For its storage, state and configuration; the host's containers are not seen.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        configuration = folder / "containers.conf"
        # Locks in files: those in shared memory are common to every podman of the host. Limits that
        # any root may set: podman's own are higher, which takes CAP_SYS_RESOURCE.
        configuration.write_text(
            '[engine]\nlock_type = "file"\ncgroup_manager = "cgroupfs"\nruntime = "crun"\n'
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
        )
        self._environ = os.environ | {"CONTAINERS_CONF": str(configuration)}
        self._parent = f"--cgroup-parent=/{folder.parent.name}"
        self._command = [
            "podman",
            f"--root={folder}/storage",
            f"--runroot={folder}/run",
            f"--tmpdir={folder}/tmp",
        ]

    def version(self) -> str:
        """Return what the program calls itself."""
        return self._call("version", "--format", "{{.Client.Version}}").decode().strip()

    def pull(self, reference: str) -> None:
        """Pull an image over plain HTTP."""
        self._call("pull", "--quiet", "--tls-verify=false", reference)

    def run(self, reference: str) -> tuple[bytes, dict[str, float]]:
        """Run an image once; return its output and the seconds from fork to exit."""
        begin = time.perf_counter()
        output = self._call("run", "--rm", "--network", "none", self._parent, reference)
        return output, {"command": time.perf_counter() - begin}

    def _call(self, *arguments: str) -> bytes:
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"podman {arguments[0]}: {done.stderr.decode().strip()[-500:]}")
        return done.stdout


class Crun:
    """``crun run`` on a bundle made of the image: the runtime alone, without an engine.

    Its `config.json` is what ``crun spec`` writes (all namespaces; no seccomp, no limits), with the
    image's command.

    Parameters
    ----------
    folder : Path
        For its state and the bundle.
    """

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state"
        self._bundle = folder / "bundle"
        (self._bundle / "rootfs").mkdir(parents=True)
        self._runs = 0

    def version(self) -> str:
        """Return what the program calls itself."""
        shown = subprocess.run(["crun", "--version"], capture_output=True, text=True, check=True)
        found = re.search(r"version (\S+)", shown.stdout)
        return found[1] if found else shown.stdout.strip()

    def pull(self, reference: str) -> None:
        """Fetch an image by hand and make the bundle of it."""
        host, _, rest = reference.partition("/")
        repository, _, tag = rest.rpartition(":")
        base = f"http://{host}/v2/{repository}"
        manifest = _fetch_manifest(base, tag)
        config = json.loads(_get(f"{base}/blobs/{manifest['config']['digest']}"))["config"]
        for layer in manifest["layers"]:
            data = io.BytesIO(_get(f"{base}/blobs/{layer['digest']}"))
            with tarfile.open(fileobj=data) as tar:
                tar.extractall(self._bundle / "rootfs", filter="tar")
        subprocess.run(["crun", "spec"], cwd=self._bundle, check=True)
        path = self._bundle / "config.json"
        spec = json.loads(path.read_text())
        spec["process"] |= {"args": config["Cmd"], "env": config["Env"], "terminal": False}
        path.write_text(json.dumps(spec))

    def run(self, _reference: str) -> tuple[bytes, dict[str, float]]:
        """Run the bundle once; return its output and the seconds from fork to exit."""
        self._runs += 1
        command = ["crun", f"--root={self._state}", "--cgroup-manager=cgroupfs", "run"]
        command += [f"--bundle={self._bundle}", f"latency-{os.getpid()}-{self._runs}"]
        begin = time.perf_counter()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        elapsed = time.perf_counter() - begin
        if done.returncode != 0:
            raise RuntimeError(f"crun run: {done.stderr.decode().strip()[-500:]}")
        return done.stdout, {"command": elapsed}


def _fetch_manifest(base: str, reference: str) -> dict[str, Any]:
    """Return the manifest for this machine, through an index if there is one."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    document: dict[str, Any] = json.loads(_get(f"{base}/manifests/{reference}"))
    for described in document.get("manifests", ()):
        if described["platform"]["architecture"] == machine:
            document = json.loads(_get(f"{base}/manifests/{described['digest']}"))
    return document


def _get(url: str) -> bytes:
    accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
    request = urllib.request.Request(url, headers={"Accept": f"{accept}, */*"})
    with urllib.request.urlopen(request) as response:
        data: bytes = response.read()
    return data
