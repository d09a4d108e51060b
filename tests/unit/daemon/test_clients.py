"""The two real clients against the real server: their plain use must pass."""

import socket
import subprocess
import threading

import docker
import docker.errors
import pytest
from docker.utils.socket import frames_iter

from tests.unit.daemon.conftest import Cli, Daemon

# docker-py leaves the sockets of its streams to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.needs_docker_cli
def test_docker_run_of_an_absent_image_pulls_it_and_shows_its_output(cli: Cli) -> None:
    done = cli("run", "--rm", "fresh", "echo", "one", "two")
    assert (done.returncode, done.stdout) == (0, "one two\n")
    assert "Unable to find image 'fresh:latest' locally" in done.stderr
    assert "Status: Downloaded newer image for fresh:latest" in done.stderr


@pytest.mark.needs_docker_cli
def test_docker_run_of_a_present_image_takes_its_command(cli: Cli) -> None:
    assert cli("run", "hello").stdout == "hello\n"


@pytest.mark.needs_docker_cli
def test_docker_run_feeds_standard_input_to_its_end(cli: Cli) -> None:
    assert cli("run", "-i", "--rm", "busybox", "cat", input="a\nb\n").stdout == "a\nb\n"


@pytest.mark.needs_docker_cli
def test_docker_run_ends_with_the_programs_status(cli: Cli) -> None:
    done = cli("run", "--rm", "busybox", "exit", "7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "gone\n")


@pytest.mark.needs_docker_cli
@pytest.mark.parametrize(("program", "status"), [("frobnicate", 127), ("denied", 126)])
def test_docker_run_tells_why_a_program_did_not_start(cli: Cli, program: str, status: int) -> None:
    assert cli("run", "--rm", "busybox", program).returncode == status


@pytest.mark.needs_docker_cli
@pytest.mark.parametrize(
    "options",
    [
        ["-p", "80:80"],
        ["--network", "mine"],
    ],
)
def test_docker_run_refuses_what_is_not_done_by_name(cli: Cli, options: list[str]) -> None:
    done = cli("run", *options, "busybox", "echo")
    assert done.returncode == 125
    word = options[1] if options[0] == "--network" else options[0]
    names = {"-p": "--publish"}
    assert names.get(word, word) in done.stderr
    assert "not supported" in done.stderr


@pytest.mark.needs_docker_cli
@pytest.mark.parametrize(
    "options",
    [
        ["-m", "64m", "--cpus", "1", "--pids-limit", "9"],
        ["--read-only"],
        ["-u", "1:1"],
        ["--cap-drop", "ALL", "--cap-add", "CHOWN"],
        ["--network", "host"],
        ["--network", "none"],
        ["-e", "A=b", "-w", "/tmp", "-h", "box"],
        ["--security-opt", "no-new-privileges"],
        ["--no-healthcheck"],
        ["--restart", "no"],
        ["--ipc", "private"],
        ["--shm-size", "1m"],
        ["--entrypoint", "echo"],
        ["--expose", "80"],
        ["-l", "a=b"],
        ["--stop-signal", "INT"],
    ],
)
def test_docker_run_passes_what_is_done(cli: Cli, options: list[str]) -> None:
    done = cli("run", "--rm", *options, "busybox", "echo", "x")
    assert done.returncode == 0, done.stderr


@pytest.mark.needs_docker_cli
def test_docker_lists_and_describes(cli: Cli) -> None:
    cli("run", "--name", "one", "busybox", "exit", "3")
    cli("run", "-d", "--name", "two", "busybox", "sleep")
    listed = cli("ps", "-a", "--format", "{{.Names}} {{.Image}} {{.Command}} {{.Status}}").stdout
    assert 'one busybox "exit 3" Exited (3)' in listed
    assert 'two busybox "sleep" Up' in listed
    assert cli("ps", "-s", "--format", "{{.Size}}").stdout == "3B (virtual 1.23MB)\n"
    assert cli("inspect", "-f", "{{.State.ExitCode}} {{.Name}}", "one").stdout == "3 /one\n"
    assert cli("inspect", "-f", "{{.Os}}", "busybox").stdout == "linux\n"
    assert cli("logs", "one").stderr == "gone\n"
    assert cli("wait", "one").stdout == "3\n"
    assert cli("stop", "two").stdout == "two\n"
    assert cli("rm", "one", "two").returncode == 0


@pytest.mark.needs_docker_cli
def test_docker_speaks_about_images(cli: Cli) -> None:
    assert "hello" in cli("images").stdout
    assert "COPY" in cli("history", "hello").stdout
    assert cli("tag", "hello", "mine:1").returncode == 0
    assert cli("rmi", "hello").stdout.startswith("Untagged: hello:latest\nDeleted: sha256:")
    assert "No such image: nothing:latest" in cli("rmi", "nothing").stderr


@pytest.mark.needs_docker_cli
def test_docker_tells_of_engine_and_host(cli: Cli) -> None:
    assert "dockerlab" in cli("version").stdout
    shown = cli("info")
    assert "Server Version: 0.1.0" in shown.stdout
    assert shown.returncode == 0
    assert "Images" in cli("system", "df").stdout
    assert cli("network", "ls", "--format", "{{.Name}}").stdout == "host\nnone\n"
    assert cli("network", "inspect", "none", "-f", "{{.Driver}}").stdout == "null\n"
    assert cli("volume", "ls", "-q").stdout == ""


@pytest.mark.needs_docker_cli
def test_docker_exec_shows_output_and_ends_with_the_status(cli: Cli) -> None:
    cli("run", "-d", "--name", "c", "busybox", "sleep")
    assert cli("exec", "c", "echo", "inside").stdout == "inside\n"
    failed = cli("exec", "c", "frobnicate")
    assert failed.returncode == 127
    assert "executable file not found" in failed.stderr


@pytest.mark.needs_docker_cli
@pytest.mark.parametrize(
    "command",
    [
        ["search", "x"],
        ["save", "hello"],
        ["push", "hello"],
        ["network", "create", "n"],
    ],
)
def test_docker_is_told_what_is_not_done_yet(cli: Cli, command: list[str]) -> None:
    cli("run", "-d", "--name", "c", "busybox", "sleep")
    done = cli(*command)
    assert done.returncode != 0
    assert "not supported by this version" in done.stderr


@pytest.mark.needs_docker_cli
def test_docker_pull_reports_an_error_before_and_after_the_first_line(cli: Cli) -> None:
    before, after = cli("pull", "nowhere"), cli("pull", "broken")
    assert "manifest for nowhere:latest not found" in before.stderr
    assert (after.returncode, "does not have its digest" in after.stderr) == (1, True)


def test_docker_py_runs_and_removes(client: docker.DockerClient) -> None:
    assert client.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"
    assert client.containers.list(all=True) == []


def test_docker_py_gets_its_own_errors(client: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("nothing")
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("nothing")
    with pytest.raises(docker.errors.ContainerError, match="7"):
        client.containers.run("busybox", ["exit", "7"])


def test_docker_py_attaches_before_the_start(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["cat"], stdin_open=True)
    params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    connection = client.api.attach_socket(str(container.id), params)
    raw: socket.socket = connection._sock
    container.start()
    raw.sendall(b"typed")
    raw.shutdown(1)
    assert list(frames_iter(raw, tty=False)) == [(1, b"typed")]
    assert container.wait()["StatusCode"] == 0
    connection.close()


def test_docker_py_follows_events(client: docker.DockerClient) -> None:
    events = client.events(decode=True)
    client.containers.run("busybox", ["echo"], remove=True)
    assert [next(events)["Action"] for _ in range(3)] == ["create", "start", "die"]
    events.close()


def test_docker_py_reads_the_facts(client: docker.DockerClient) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"] == "1.45"
    assert client.info()["NCPU"] == 2
    assert client.df()["LayersSize"] == 2 * 1_234_567
    assert [network.name for network in client.networks.list()] == ["host", "none"]
    assert client.volumes.list() == []


def test_docker_py_executes(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep"], detach=True)
    assert container.exec_run(["echo", "inside"]).output == b"inside\n"
    failed = container.exec_run(["frobnicate"])
    assert failed.exit_code == 127
    assert b"executable file not found" in failed.output
    container.remove(force=True)


@pytest.mark.needs_docker_cli
def test_many_clients_at_once_get_each_their_own_output(cli: Cli, daemon: Daemon) -> None:
    done: dict[int, subprocess.CompletedProcess[str]] = {}

    def run(number: int) -> None:
        done[number] = cli("run", "--rm", "busybox", "echo", str(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: d.stdout for n, d in done.items()} == {n: f"{n}\n" for n in range(8)}
    assert daemon.json("GET", "/containers/json?all=1") == (200, [])
