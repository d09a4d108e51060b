"""Containers without an engine: a zygote, bundles with busybox in them, and what monitors say.

Drives `runtime` alone, as the engine would, so that a failure here is the runtime's.
"""

import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dockerlab.engine import jobs
from dockerlab.runtime import defaults, protocol, seccomp
from dockerlab.runtime.launch import Zygote
from tests.support.engine import PATIENCE
from tests.support.images import find_static_busybox

__all__ = ["Box", "Boxes", "running_zygote"]

TIMEOUT_S = 20.0 * PATIENCE
APPLETS = [
    "sh",
    "cat",
    "ls",
    "id",
    "hostname",
    "ps",
    "mount",
    "grep",
    "head",
    "tail",
    "sleep",
    "dd",
    "echo",
    "kill",
    "stat",
    "tr",
    "wc",
    "mknod",
    "chmod",
    "mkdir",
    "touch",
    "readlink",
    "env",
    "umask",
    "cut",
    "yes",
    "stty",
    "tty",
    "ip",
    "seq",
    "true",
    "test",
    "nproc",
    "setsid",
    "printf",
    "rm",
    "ln",
    "od",
    "sync",
]

Message = dict[str, Any]


@contextmanager
def running_zygote(log: Path) -> Iterator[Zygote]:
    """Run the engine's zygote until the block ends; what it has to say is in `log`."""
    package = Path(jobs.__file__).parents[2]
    with log.open("ab") as file:
        zygote = Zygote.launch(
            Path(jobs.__file__),
            import_paths=[str(package), *_decompressors()],
            log_fd=file.fileno(),
        )
    try:
        yield zygote
    finally:
        zygote.close()


def _decompressors() -> list[str]:
    import isal

    return [str(Path(isal.__file__).parents[1])]


class Boxes:
    """Makes boxes over one busybox layer."""

    def __init__(self, zygote: Zygote, folder: Path, known_containers: set[str]) -> None:
        self.zygote = zygote
        self._folder = folder
        self._known = known_containers
        self._layer = folder / "busybox"
        self._boxes: list[Box] = []
        busybox = find_static_busybox()
        assert busybox is not None
        (self._layer / "bin").mkdir(parents=True)
        for name in ("etc", "tmp", "root"):
            (self._layer / name).mkdir()
        shutil.copy(busybox, self._layer / "bin" / "busybox")
        for name in APPLETS:
            (self._layer / "bin" / name).symlink_to("busybox")
        (self._layer / "etc" / "passwd").write_text(
            "root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/home/ann:/bin/sh\n"
        )
        (self._layer / "etc" / "group").write_text("root:x:0:\nann:x:1001:\nmail:x:8:ann\n")

    def box(self, *args: str, layers: Sequence[Path] = ()) -> "Box":
        """Return a box that will run `args`, with more `layers` (top first) over busybox."""
        box_id = secrets.token_hex(32)
        self._known.add(box_id)
        lower = [str(layer) for layer in (*layers, self._layer)]
        box = Box(box_id, self._folder / box_id[:12], lower, list(args))
        self._boxes.append(box)
        return box

    def run(self, *args: str, **changes: Any) -> tuple[int, str]:
        """Run `args` to their end; return exit code and everything that they wrote."""
        box = self.box(*args)
        box.change(**changes)
        client = box.start(self.zygote)
        output = read_all(client).decode()
        return int(box.expect("exited")["exit_code"]), output

    def close(self) -> None:
        """Kill what still runs and wait until every monitor is gone."""
        for box in self._boxes:
            box.close()


class Box:
    """One container.

    Attributes
    ----------
    spec, args : dict
        The bundle's config and the arguments of the job, to be changed before the start.
    """

    def __init__(self, box_id: str, folder: Path, lower: list[str], argv: list[str]) -> None:
        self.id = box_id
        self.bundle = folder
        self.run_dir = Path("/tmp") / f"dl-{box_id[:12]}"
        self.spec = _make_spec(box_id, argv)
        self.log = folder / "log"
        self.exit_file = folder / "exit.json"
        self.messages: list[Message] = []
        self._control: socket.socket | None = None
        self._clients: list[socket.socket] = []
        for name in ("upper", "work", "rootfs"):
            (folder / name).mkdir(parents=True)
        overlay = {"lower": lower, "upper": str(folder / "upper"), "work": str(folder / "work")}
        self.args: Message = {
            "id": box_id,
            "bundle": str(folder),
            "rootfs": overlay,
            "run_dir": str(self.run_dir),
            "log": str(self.log),
            "exit_file": str(self.exit_file),
            "terminal": False,
            "open_stdin": False,
            "stdin_once": True,
            "tty_size": None,
        }

    def change(self, **changes: Any) -> None:
        """Change keys of the spec's process (``env``, ``cwd``…) or of the job (``open_stdin``…)."""
        for key, value in changes.items():
            if key in self.args:
                self.args[key] = value
            elif key in {"hostname", "root"}:
                self.spec[key] = value
            elif key == "user":
                self.spec["annotations"]["dockerlab.user"] = value
            elif key in {"resources", "sysctl", "namespaces"}:
                self.spec["linux"][key] = value
            else:
                self.spec["process"][key] = value

    def start(
        self, zygote: Zygote, *, stdin: bool = True, multiplexed: bool = False
    ) -> socket.socket:
        """Submit the job with one attached client, which is returned."""
        self.spec["process"]["terminal"] = self.args["terminal"]
        (self.bundle / "config.json").write_text(json.dumps(self.spec))
        if filter_ := self.spec["linux"].get("seccomp"):
            program = seccomp.compile_filter(filter_, os.uname().machine)
            (self.bundle / "seccomp.bpf").write_bytes(program)
        self.args["attachments"] = [_attachment(stdin=stdin, multiplexed=multiplexed)]
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(TIMEOUT_S)
        client, attached = self._connect()
        with theirs, attached:
            zygote.submit("monitor", self.args, [theirs.fileno(), attached.fileno()])
        return client

    def expect(self, kind: str, *, among: str = "") -> Message:
        """Receive until the message `kind`; another end of the start fails the test."""
        while True:
            message, _ = protocol.receive(self.control)
            assert message is not None, f"the monitor is gone before {kind}: {self.messages}"
            self.messages.append(message)
            if message["type"] == kind:
                return message
            assert message["type"] != "failed" or among == "failed", message

    @property
    def control(self) -> socket.socket:
        """The connection to the monitor."""
        assert self._control is not None
        return self._control

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a message to the monitor."""
        protocol.send(self.control, message, tuple(fds))

    def reconnect(self) -> None:
        """Talk to the monitor by its socket from now on, as a new daemon would."""
        self.control.close()
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(TIMEOUT_S)
        self._control.connect(str(self.run_dir / "monitor.sock"))

    def attach(self, *, stdin: bool = False, multiplexed: bool = False) -> socket.socket:
        """Attach one more client."""
        client, attached = self._connect()
        request = _attachment(stdin=stdin, multiplexed=multiplexed)
        with attached:
            self.send({"type": "attach", **request}, [attached.fileno()])
        return client

    def exec(self, *argv: str, terminal: bool = False, user: str = "") -> socket.socket:
        """Start an exec with one attached client; its id is its first argument's name."""
        client, attached = self._connect()
        message = {
            "type": "exec",
            "exec_id": argv[0],
            "process": {**self.spec["process"], "args": list(argv), "terminal": terminal},
            "user": user,
            "terminal": terminal,
            "open_stdin": True,
            "attachments": [_attachment(stdin=True, multiplexed=False)],
        }
        with attached:
            self.send(message, [attached.fileno()])
        return client

    def wait_until_gone(self) -> None:
        """Wait until the monitor has closed its end and removed its folder."""
        while True:
            try:
                message, _ = protocol.receive(self.control)
            except OSError:
                message = None
            if message is None:
                break
            self.messages.append(message)
        deadline = time.monotonic() + TIMEOUT_S
        while self.run_dir.exists() and time.monotonic() < deadline:
            time.sleep(0.005)

    def _connect(self) -> tuple[socket.socket, socket.socket]:
        client, attached = socket.socketpair()
        client.settimeout(TIMEOUT_S)
        self._clients.append(client)
        return client, attached

    def close(self) -> None:
        """Kill it if it runs, and wait for its monitor."""
        for client in self._clients:
            client.close()
        if self._control is None:
            return
        try:
            self.send({"type": "kill", "signal": 9})
            self.wait_until_gone()
        except OSError:
            pass
        self._control.close()
        self._control = None


def read_all(client: socket.socket) -> bytes:
    """Read to the end of the stream."""
    parts = []
    while data := client.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)


def read_until(client: socket.socket, wanted: bytes) -> bytes:
    """Read until `wanted` was seen."""
    data = b""
    while wanted not in data:
        more = client.recv(1 << 16)
        assert more, data
        data += more
    return data


def _attachment(*, stdin: bool, multiplexed: bool) -> Message:
    return {
        "stdin": stdin,
        "stdout": True,
        "stderr": True,
        "is_multiplexed": multiplexed,
        "leftover": "",
    }


def _make_spec(box_id: str, argv: list[str]) -> Message:
    capabilities = list(defaults.DEFAULT_CAPABILITIES)
    sets = {"bounding": capabilities, "effective": capabilities, "permitted": capabilities}
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": argv,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": sets,
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": defaults.default_mounts(1 << 26),
        "annotations": {"dockerlab.user": ""},
        "linux": {
            "namespaces": [
                {"type": each} for each in ("mount", "uts", "pid", "ipc", "network", "cgroup")
            ],
            "devices": defaults.default_devices(),
            "cgroupsPath": f"/dockerlab/{box_id}",
            "resources": {"devices": defaults.device_rules()},
            "maskedPaths": defaults.masked_paths(),
            "readonlyPaths": list(defaults.READONLY_PATHS),
            "seccomp": defaults.default_seccomp(capabilities),
        },
    }
