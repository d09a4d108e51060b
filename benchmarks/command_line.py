"""Contenders that are programs: podman and crun, with folders of their own, and docker."""

import io
import json
import os
import re
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.accounts import Account

__all__ = ["Crun", "DockerCli", "Podman"]


class Podman:
    """``podman run --rm`` with crun, as its packagers set it up.

    Parameters
    ----------
    folder : Path
        For its storage, state and configuration; the host's containers are not seen. It is made
        unless another contender has it: the two then have one storage.
    network : str
        As `podman run` takes it; '' is Podman's own choice for the user.
    account : Account, optional
        The unprivileged user to run it as.
    """

    def __init__(
        self, folder: Path, *, network: str = "none", account: Account | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        configuration = folder / "containers.conf"
        # Locks in files: those in shared memory are common to every podman of the host. Limits that
        # any root may set: podman's own are higher, which takes CAP_SYS_RESOURCE.
        configuration.write_text(
            '[engine]\nlock_type = "file"\ncgroup_manager = "cgroupfs"\nruntime = "crun"\n'
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
        )
        self._options = [f"--network={network}"] if network else []
        environ: dict[str, str] = dict(os.environ)
        self._identity: dict[str, Any] = {}
        if account is None:
            self._options.append(f"--cgroup-parent=/{folder.parent.name}")
        else:
            os.chown(folder, account.uid, account.gid)
            folder.chmod(0o700)
            environ = account.environ | {"XDG_RUNTIME_DIR": str(folder)}
            self._identity = account.identity
        self._environ = environ | {"CONTAINERS_CONF": str(configuration)}
        self._command = [
            "podman",
            f"--root={folder}/storage",
            f"--runroot={folder}/run",
            f"--tmpdir={folder}/tmp",
            "--storage-driver=overlay",
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
        output = self._call("run", "--rm", *self._options, reference)
        return output, {"command": time.perf_counter() - begin}

    def _call(self, *arguments: str) -> bytes:
        return _output([*self._command, *arguments], env=self._environ, **self._identity)


class DockerCli:
    """``docker run --rm --network none``: the client that everybody has, on an engine's socket.

    Parameters
    ----------
    address : str
        As in ``DOCKER_HOST``.
    """

    def __init__(self, address: str) -> None:
        self._environ = os.environ | {"DOCKER_HOST": address}

    def version(self) -> str:
        """Return what the program calls itself."""
        return self._call("version", "--format", "{{.Client.Version}}").decode().strip()

    def pull(self, reference: str) -> None:
        """Have the engine pull an image."""
        self._call("pull", "--quiet", reference)

    def run(self, reference: str) -> tuple[bytes, dict[str, float]]:
        """Run an image once; return its output and the seconds from fork to exit."""
        begin = time.perf_counter()
        output = self._call("run", "--rm", "--network", "none", reference)
        return output, {"command": time.perf_counter() - begin}

    def _call(self, *arguments: str) -> bytes:
        return _output(["docker", *arguments], env=self._environ)


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
        output = _output(command)
        return output, {"command": time.perf_counter() - begin}


def _output(command: Sequence[str], **options: Any) -> bytes:
    """Run a program to its end; raise RuntimeError with the last that it says when it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, **options
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode().strip()[-500:]}")
    output: bytes = done.stdout
    return output


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
