"""The magics that hold, change and look into containers, and those of volumes: in a real kernel."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.notebooks.kernel import Cell, Kernel, running_kernel
from tests.support.engine import EngineUnderTest

pytestmark = [pytest.mark.notebook, pytest.mark.needs_cgroup]


@pytest.fixture(scope="module")
def kernel(engine: EngineUnderTest) -> Iterator[Kernel]:
    engine.connect().images.pull("busybox", tag="latest")
    environ = {"DOCKERLAB_SOCKET": str(engine.socket), "DOCKERLAB_ROOT": str(engine.root)}
    with running_kernel({**environ, "DOCKERLAB_WIDGETS": "0"}) as kernel:
        kernel.run("%load_ext dockerlab")
        yield kernel


@pytest.fixture(autouse=True)
def web(client: docker.DockerClient) -> None:
    script = "echo mine > /made; trap 'exit 3' TERM; while :; do sleep 0.1; done"
    client.containers.run("busybox", ["sh", "-c", script], detach=True, name="web", mem_limit="64m")


def run(kernel: Kernel, source: str) -> Cell:
    cell = kernel.run(source)
    assert cell.error == []
    return cell


def state(kernel: Kernel) -> str:
    return run(kernel, "facts = %inspect web\nfacts['State']['Status']").text


def dtypes(kernel: Kernel, line: str) -> dict[str, str]:
    cell = run(kernel, f"df = {line}\nfor name, kind in df.dtypes.items(): print(name, kind)")
    return dict(line.split(" ", 1) for line in cell.stdout.splitlines())


def test_a_container_is_held_and_goes_on(kernel: Kernel) -> None:
    assert run(kernel, "%pause web").text == "web"
    assert state(kernel) == "'paused'"
    assert run(kernel, "%docker container unpause web").text == "web"
    assert state(kernel) == "'running'"


def test_a_restart_is_a_new_life_under_another_name(kernel: Kernel) -> None:
    before = run(kernel, "facts = %inspect web\nfacts['State']['StartedAt']").text
    assert run(kernel, "%restart -t 1 web").text == "web"
    assert run(kernel, "facts = %inspect web\nfacts['State']['StartedAt']").text != before
    run(kernel, "%rename web other")
    assert run(kernel, "%ps --filter name=other\n").text.endswith("other")


def test_waiting_gives_the_exit_code_and_may_be_interrupted(kernel: Kernel) -> None:
    run(kernel, "%run_container -d --name short busybox sh -c 'exit 7'")
    assert run(kernel, "%wait short").text == "7"
    run(kernel, "%stop web")
    assert run(kernel, "%wait web short").text == "[3, 7]"


def test_an_interrupted_wait_leaves_the_container(kernel: Kernel) -> None:
    cell = kernel.run("print('waiting', flush=True)\n%wait web", interrupt_when="waiting")

    assert cell.error == ["interrupted: the containers go on"]
    assert state(kernel) == "'running'"


def test_limits_are_changed_where_it_runs(kernel: Kernel) -> None:
    assert run(kernel, "%update -m 32m --memory-swap 64m --restart on-failure:2 web").text == "web"
    facts = run(kernel, "facts = %inspect web\nh = facts['HostConfig']\nh['Memory'], h['RestartPolicy']")
    assert facts.text == "(33554432, {'Name': 'on-failure', 'MaximumRetryCount': 2})"
    assert kernel.run("%update web").error == [
        "there is nothing to change",
        "hint: give a limit, or a restart policy",
    ]


def test_usage_is_a_frame_of_numbers(kernel: Kernel) -> None:
    kinds = dtypes(kernel, "%stats")

    assert kinds["cpu_percent"] == "Float64"
    assert kinds["sampled_at"] == "datetime64[us, UTC]"
    names = ("memory_bytes", "limit_bytes", "received_bytes", "read_bytes", "processes")
    assert {kinds[name] for name in names} == {"Int64"}
    cell = run(kernel, "df['name'].tolist(), int(df['limit_bytes'][0]), int(df['processes'][0]) >= 1")
    assert cell.text == "(['web'], 67108864, True)"
    assert "64 MB" not in run(kernel, "df").text
    assert "67.1MB" in run(kernel, "df").text


def test_processes_are_a_frame_with_durations(kernel: Kernel) -> None:
    kinds = dtypes(kernel, "%top web")

    assert (kinds["pid"], kinds["user"]) == ("Int64", "string")
    assert kinds["cpu_time"].startswith("timedelta64[")
    assert "sleep" in run(kernel, "%top web").text
    assert dtypes(kernel, "%top web -eo pid,comm") == {"pid": "Int64", "command": "string"}


def test_changes_are_a_frame_with_categories(kernel: Kernel) -> None:
    assert dtypes(kernel, "%diff web") == {"change": "category", "path": "string"}
    assert run(kernel, "df.values.tolist()").text == "[['added', '/made']]"


def test_files_are_copied_both_ways_and_exported(kernel: Kernel, tmp_path: Path) -> None:
    assert run(kernel, f"%cp web:/made {tmp_path}").text == f"{tmp_path}/made"
    assert (tmp_path / "made").read_text() == "mine\n"
    (tmp_path / "page").write_text("here\n")
    assert run(kernel, f"%cp {tmp_path}/page web:/etc/").text == "web:/etc/page"
    run(kernel, f"%cp web:/etc/page {tmp_path}/back")
    assert (tmp_path / "back").read_text() == "here\n"
    run(kernel, f"%export -o {tmp_path}/web.tar web")
    assert "made" in run(kernel, f"import tarfile\ntarfile.open('{tmp_path}/web.tar').getnames()").text
    assert kernel.run("%export web").error[-1] == "hint: name it: -o FILE"


def test_volumes_are_made_listed_used_and_removed(kernel: Kernel) -> None:
    assert run(kernel, "%volume create --label of=tests kept").text == "'kept'"
    run(kernel, "%run_container --rm -v kept:/kept busybox sh -c 'echo 12345 > /kept/file'")
    kinds = dtypes(kernel, "%volume ls -s")
    assert kinds["created_at"] == "datetime64[us, UTC]"
    assert (kinds["driver"], kinds["size_bytes"]) == ("category", "Int64")
    assert run(kernel, "df[['name', 'labels', 'containers']].values.tolist()").text == (
        "[['kept', 'of=tests', 0]]"
    )
    assert run(kernel, "facts = %volume inspect kept\nfacts['Driver']").text == "'local'"
    assert run(kernel, "facts = %inspect --type volume kept\nfacts['Name']").text == "'kept'"
    assert run(kernel, "%docker volume list -q").text == "kept"
    assert "0 volumes removed" in run(kernel, "%volume prune").stdout
    assert run(kernel, "%volume rm kept").text == "kept"
    run(kernel, "%volume create unused")
    assert run(kernel, "%volume prune -a -f").text == "unused"


def test_flags_of_a_run_reach_the_container(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound\n")
    tmp_path.chmod(0o755)
    script = "cat /here/file; id -u; pwd; ulimit -n; ls -d /memory; hostname; cat /proc/1/comm"
    cell = run(
        kernel,
        f"%run_container --rm -v {tmp_path}:/here:ro -u 7 -w /tmp --ulimit nofile=50:60"
        " --tmpfs /memory:size=1m -h box --init --shm-size 1m --pids-limit 20"
        " --security-opt no-new-privileges --cap-drop ALL --log-driver none"
        f' --health-cmd true --health-interval 1m busybox sh -c "{script}"',
    )

    assert cell.stdout.split() == ["bound", "7", "/tmp", "50", "/memory", "box", "docker-init"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("%pause nobody", "No such container: nobody"),
        ("%volume rm nobody", "nobody"),
        ("%volume craete", "unknown command: volume craete"),
        ("%cp here there", "neither the source nor the destination is in a container"),
        ("%cp web:/no/such .", "/no/such"),
        ("%cp /no/such web:/", 'there is no "/no/such"'),
        ("%run_container --mount type=bind,from=/ busybox", 'unknown key "from" in --mount'),
        ("%run_container --ulimit nofile busybox", 'invalid ulimit: "nofile"'),
        ("%run_container --security-opt seccomp=/no/file busybox", "cannot read the seccomp"),
        ("%run_container --runtime nobody busybox", "unknown or invalid runtime name"),
    ],
)
def test_an_error_is_a_sentence_and_no_traceback(kernel: Kernel, line: str, sentence: str) -> None:
    cell = kernel.run(line)

    assert sentence in cell.error[0]
    assert all(text.startswith("hint: ") for text in cell.error[1:])
