"""Our runtime under its own command line, as those who are not our engine use it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.kernel.fds import recv_message
from tests.support.accounts import unprivileged_account
from tests.support.engine import wait_until
from tests.support.standalone import (
    CONFIGURATION,
    Podman,
    RuntimeCli,
    busybox_root,
    running_podman_cli,
)

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.needs_busybox,
]


@pytest.fixture
def runtime(tmp_path: Path, known_containers: set[str]) -> Iterator[RuntimeCli]:
    busybox_root(tmp_path / "rootfs")
    # The cgroup's name, by which leaks are found.
    known_containers.add(tmp_path.name)
    made = RuntimeCli(tmp_path)
    yield made
    for name in made("list", "--quiet").stdout.split():
        made("delete", "--force", name)
    assert not list((tmp_path / "states").glob("*"))


def _create(runtime: RuntimeCli, name: str = "c", *more: str, output: Path | None = None) -> None:
    arguments = ("create", "--bundle", str(runtime.bundle), *more, name)
    with (output or Path(os.devnull)).open("w") as file:
        # No pipe: the container would hold it open, and the end of `create` not be seen.
        done = runtime(*arguments, stdout=file, stderr=file)
    assert done.returncode == 0, output.read_text() if output else arguments


def test_a_container_is_created_started_and_deleted(runtime: RuntimeCli, tmp_path: Path) -> None:
    runtime.write_spec("sh", "-c", "echo $$; sleep 100", annotations={"a": "b"})
    output, pid_file = tmp_path / "output", tmp_path / "pid"

    _create(runtime, "c", "--pid-file", str(pid_file), output=output)
    created = runtime.state("c")
    before = output.read_text()
    assert runtime("start", "c").returncode == 0
    wait_until(output.read_text, "the program has written")
    running = runtime.state("c")

    assert (created["status"], running["status"]) == ("created", "running")
    assert created["pid"] == running["pid"] == int(pid_file.read_text())
    assert (before, output.read_text()) == ("", "1\n")
    assert running["bundle"] == str(runtime.bundle)
    assert running["annotations"] == {"a": "b"}

    refused = runtime("delete", "c")
    assert refused.returncode == 1
    assert "that is running: stop it first" in refused.stderr
    assert runtime("start", "c").returncode == 1
    assert runtime("kill", "c", "KILL").returncode == 0
    wait_until(lambda: runtime.state("c")["status"] == "stopped", "it has ended")
    assert runtime("delete", "c").returncode == 0
    assert 'container "c" does not exist' in runtime("state", "c").stderr


def test_run_gives_output_and_status(runtime: RuntimeCli) -> None:
    runtime.write_spec("sh", "-c", "hostname; exit 7", hostname="box")

    done = runtime("run", "--bundle", str(runtime.bundle), "c")

    assert (done.returncode, done.stdout) == (7, "box\n")
    assert runtime("list", "--quiet").stdout == ""


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("nosuch", 'exec: "nosuch": executable file not found in $PATH'),
        ("/etc/passwd", "permission denied"),
    ],
)
def test_a_program_that_cannot_run_is_told_at_creation(
    runtime: RuntimeCli, tmp_path: Path, program: str, words: str
) -> None:
    runtime.write_spec(program)
    log = tmp_path / "log"

    options = ("--log", str(log), "--log-format", "json")
    done = runtime(*options, "create", "--bundle", str(runtime.bundle), "c")

    assert done.returncode == 1
    entry = json.loads(log.read_text())
    assert entry["level"] == "error"
    assert words in entry["msg"]
    assert runtime("list", "--quiet").stdout == ""


def test_hooks_run_in_their_order_with_the_state(runtime: RuntimeCli, tmp_path: Path) -> None:
    order = tmp_path / "order"

    def hook(name: str) -> dict[str, object]:
        script = f"echo {name} $(tr -d ' \\n' | sed 's/.*\"status\":\"\\([a-z]*\\)\".*/\\1/')"
        return {"path": "/bin/sh", "args": ["sh", "-c", f"{script} >> {order}"]}

    inside = {"path": "/bin/sh", "args": ["sh", "-c", "echo inside > /tmp/inside"]}
    names = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    hooks = {name: [hook(name)] for name in names} | {"startContainer": [inside]}
    runtime.write_spec("cat", "/tmp/inside", hooks=hooks)

    done = runtime("run", "--bundle", str(runtime.bundle), "c")

    assert (done.returncode, done.stdout) == (0, "inside\n"), done.stderr
    lines = [line.split() for line in order.read_text().splitlines()]
    assert [name for name, _ in lines] == list(names)
    assert [status for _, status in lines[:3]] == ["creating"] * 3
    assert lines[-1][1] == "stopped"


def test_a_failing_hook_ends_the_creation(runtime: RuntimeCli) -> None:
    runtime.write_spec("true", hooks={"createRuntime": [{"path": "/bin/false"}]})

    done = runtime("create", "--bundle", str(runtime.bundle), "c")

    assert done.returncode == 1
    assert 'hook "/bin/false" ended with status 1' in done.stderr
    assert runtime("list", "--quiet").stdout == ""


def test_exec_adds_a_process(runtime: RuntimeCli, tmp_path: Path) -> None:
    spec = runtime.write_spec("sleep", "100", hostname="box")
    _create(runtime)
    runtime("start", "c")
    process = spec["process"] | {
        "args": ["sh", "-c", "id -u; id -g; hostname; exit 3"],
        "user": {"uid": 1000, "gid": 1001},
    }
    (tmp_path / "process.json").write_text(json.dumps(process))

    done = runtime("exec", "--process", str(tmp_path / "process.json"), "c")
    simple = runtime("exec", "--env", "A=b", "--cwd", "/tmp", "c", "sh", "-c", "pwd; echo $A")
    missing = runtime("exec", "c", "nosuch")

    assert (done.returncode, done.stdout) == (3, "1000\n1001\nbox\n")
    assert (simple.returncode, simple.stdout) == (0, "/tmp\nb\n")
    assert missing.returncode == 1
    assert "executable file not found in $PATH" in missing.stderr


def test_the_terminal_goes_to_the_console_socket(runtime: RuntimeCli, tmp_path: Path) -> None:
    runtime.write_spec("sh", "-c", "tty; exit 2", terminal=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen(1)
        _create(runtime, "c", "--console-socket", str(tmp_path / "console"))
        connection, _ = listener.accept()
        with connection:
            _, [master] = recv_message(connection)
    runtime("start", "c")

    output = b""
    with os.fdopen(master, "rb", buffering=0) as terminal:
        while b"/dev/pts/0" not in output:
            output += terminal.read(100) or b""
    refused = runtime("create", "--bundle", str(runtime.bundle), "d")
    assert "the process needs --console-socket" in refused.stderr


def test_limits_devices_and_masks_hold(runtime: RuntimeCli) -> None:
    script = (
        "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max;"
        " echo > /dev/null && echo null; mknod /tmp/kmsg c 1 11; cat /tmp/kmsg;"
        " wc -c < /proc/timer_list; ls /proc/self/fd | wc -w; ulimit -n"
    )
    limits = [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]
    resources = {"pids": {"limit": 17}, "devices": [{"allow": False, "access": "rwm"}]}
    runtime.write_spec(
        *("sh", "-c", script),
        resources=resources,
        rlimits=limits,
        maskedPaths=["/proc/timer_list"],
    )

    done = runtime("run", "--bundle", str(runtime.bundle), "c")

    assert done.stdout.split() == ["17", "null", "0", "4", "99"]
    assert "Operation not permitted" in done.stderr


_AS_THREE = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"


def test_descriptors_are_kept_when_asked_for(runtime: RuntimeCli, tmp_path: Path) -> None:
    runtime.write_spec("sh", "-c", "cat <&3")
    (tmp_path / "given").write_text("given\n")
    with (tmp_path / "given").open() as given:
        command = [*runtime.command, "run", "--preserve-fds", "1", "--bundle", str(runtime.bundle)]
        done = subprocess.run(
            [sys.executable, "-c", _AS_THREE, str(given.fileno()), *command, "c"],
            pass_fds=[given.fileno()],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert (done.returncode, done.stdout) == (0, "given\n")


def test_pause_and_resume(runtime: RuntimeCli) -> None:
    runtime.write_spec("sleep", "100")
    _create(runtime)
    runtime("start", "c")
    status = Path(f"/proc/{runtime.state('c')['pid']}/status")

    assert runtime("pause", "c").returncode == 0
    wait_until(lambda: "(frozen)" in status.read_text() or _is_frozen(runtime), "it is paused")
    assert runtime("resume", "c").returncode == 0
    assert runtime("kill", "--all", "c", str(int(signal.SIGKILL))).returncode == 0
    wait_until(lambda: runtime.state("c")["status"] == "stopped", "it has ended")


def _is_frozen(runtime: RuntimeCli) -> bool:
    folder = Path("/sys/fs/cgroup/freezer/dockerlab") / runtime.folder.name
    return (folder / "freezer.state").read_text() == "FROZEN\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"namespaces": [{"type": "user"}, {"type": "mount"}]}, "a user namespace"),
        ({"namespaces": [{"type": "pid"}]}, "a container in the host's mount namespace"),
        ({"seccomp": {"listenerPath": "/x"}}, "a seccomp filter with a listener"),
    ],
)
def test_what_is_not_done_is_refused(
    runtime: RuntimeCli, changes: dict[str, object], words: str
) -> None:
    runtime.write_spec("true", **changes)

    refused = runtime("create", "--bundle", str(runtime.bundle), "c")

    assert refused.returncode == 1
    assert f"this runtime does not support {words}" in refused.stderr


def test_features_are_listed(runtime: RuntimeCli) -> None:
    document = json.loads(runtime("features").stdout)

    assert document["linux"]["cgroup"] == {
        "v1": True,
        "v2": True,
        "systemd": False,
        "systemdUser": False,
    }


# ------------------------------------------------------------------------------------ under podman


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with running_podman_cli() as made:
        yield made
        assert not list(made.states.glob("*"))


_GROUPS = "\nroot:x:0:\nann:x:1001:\n"


@pytest.mark.needs_podman
@pytest.mark.parametrize(
    ("options", "command", "status", "output"),
    [
        ([], ["echo", "hello"], 0, "hello\n"),
        ([], ["sh", "-c", "exit 7"], 7, ""),
        ([], ["nosuch"], 127, ""),
        ([], ["/etc/passwd"], 126, ""),
        (["--user", "ann"], ["id", "-u"], 0, "1000\n"),
        (["--hostname", "box"], ["hostname"], 0, "box\n"),
        (["--cap-drop", "all"], ["grep", "CapBnd", "/proc/self/status"], 0, f"CapBnd:\t{0:016x}\n"),
        ([], ["grep", "Seccomp:", "/proc/self/status"], 0, "Seccomp:\t2\n"),
        (["--read-only"], ["touch", "/x"], 1, ""),
        (["--tmpfs", "/etc"], ["sh", "-c", "echo > /etc/x; cat /etc/x /etc/group"], 0, _GROUPS),
    ],
)
def test_podman_runs_with_our_runtime(
    podman: Podman, options: list[str], command: list[str], status: int, output: str
) -> None:
    done = podman("run", "--rm", *options, "box", *command)

    assert (done.returncode, done.stdout) == (status, output), done.stderr


@pytest.mark.needs_podman
def test_podman_keeps_a_container_running(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host\n")
    script = "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    options = ("-d", "--name", "box", "-m", "64m", "-v", f"{tmp_path}:/data:ro")
    assert podman("run", *options, "box", "sh", "-c", script).returncode == 0
    wait_until(lambda: podman("logs", "box").stdout == "ready\n", "it is ready")

    memory = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
    inside = podman("exec", "box", "sh", "-c", f"cat /data/file; {memory}; exit 5")
    written = podman("exec", "--user", "1000", "--workdir", "/tmp", "box", "sh", "-c", "pwd; id -u")
    missing = podman("exec", "box", "nosuch")
    readonly = podman("exec", "box", "touch", "/data/file")
    paused = podman("pause", "box"), podman("unpause", "box")
    podman("kill", "--signal", "TERM", "box")

    assert podman("wait", "box").stdout == "3\n"
    assert (inside.returncode, inside.stdout.splitlines()[0]) == (5, "host")
    assert str(64 << 20) in inside.stdout or not Path("/sys/fs/cgroup/memory").is_dir()
    assert written.stdout == "/tmp\n1000\n"
    assert missing.returncode == 127
    assert "Read-only file system" in readonly.stderr
    assert [done.returncode for done in paused] == [0, 0]
    assert podman("logs", "box").stdout == "ready\nasked\n"
    assert podman("rm", "box").returncode == 0


@pytest.mark.needs_podman
def test_podman_has_a_terminal(podman: Podman) -> None:
    done = podman("run", "--rm", "--tty", "box", "sh", "-c", "tty; exit 4")

    assert (done.returncode, done.stdout.strip()) == (4, "/dev/pts/0")


@pytest.mark.needs_podman
@pytest.mark.needs_cgroup
def test_too_much_memory_is_killed_under_podman(podman: Podman) -> None:
    script = "x=$(yes | head -c 200000000 | tr '\\n' a)"

    assert podman("run", "--rm", "-m", "16m", "box", "sh", "-c", script).returncode == 137


@pytest.mark.needs_podman
@pytest.mark.needs_rootless
@pytest.mark.needs_newuidmap
def test_podman_without_root_runs_with_our_runtime() -> None:
    with unprivileged_account(has_sub_ids=True) as account:
        home = account.home
        assert account.libraries is not None
        main = account.libraries / "dockerlab" / "runtime" / "standalone" / "__main__.py"
        script = home / "runtime"
        script.write_text(f'#!/bin/sh\nexec {account.python} {main} --root {home}/states "$@"\n')
        script.chmod(0o755)
        (home / "containers.conf").write_text(CONFIGURATION)
        (home / "run").mkdir(mode=0o700)
        busybox_root(home / "box")
        subprocess.run(["tar", "-C", home / "box", "-cf", home / "box.tar", "."], check=True)
        subprocess.run(["chown", "-R", f"{account.uid}:{account.gid}", home], check=True)
        environ = account.environ | {
            "CONTAINERS_CONF": str(home / "containers.conf"),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "PATH": os.defpath + ":/usr/sbin",
        }

        def podman(*arguments: str) -> "subprocess.CompletedProcess[str]":
            options = ("--storage-driver=vfs", "--cgroup-manager=cgroupfs", f"--runtime={script}")
            return subprocess.run(
                ["podman", *options, "--events-backend=none", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
                env=environ,
                **account.identity,
            )

        podman("import", str(home / "box.tar"), "box")
        done = podman("run", "--rm", "--user", "ann", "box", "sh", "-c", "id -u; exit 3")
        podman("run", "--detach", "--name", "box", "box", "sleep", "100")
        entered = podman("exec", "box", "sh", "-c", "cat /proc/1/comm; exit 4")
        podman("rm", "--force", "--time", "0", "box")
        podman("system", "migrate")

    assert (done.returncode, done.stdout) == (3, "1000\n"), done.stderr
    assert (entered.returncode, entered.stdout) == (4, "sleep\n"), entered.stderr
