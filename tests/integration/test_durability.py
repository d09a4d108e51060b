"""``kill -9`` of daemon and zygote, in a pull and in a run: before or after, never between."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
import urllib3
from docker.errors import DockerException

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.gate import Gate, running_gate
from tests.support.registry import RunningRegistry

# Counts to 100, a line every tenth of a second, and ends with 7 when /stop appears.
COUNT = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; sleep 0.1; done; exit 7"


def _start_counting(client: docker.DockerClient) -> str:
    client.images.pull("busybox", tag="latest")
    container = client.containers.create("busybox", ["sh", "-c", COUNT], name="counter")
    container.start()
    wait_until(lambda: container.logs().count(b"\n") >= 3, "the container counts")
    return str(container.id)


def _lines(client: docker.DockerClient, container_id: str) -> list[int]:
    return [int(line) for line in client.containers.get(container_id).logs().split()]


def _pull_in_thread(engine: EngineUnderTest, errors: list[str]) -> threading.Thread:
    def pull() -> None:
        try:
            lines = engine.connect().api.pull("slow", stream=True, decode=True)
            errors.extend(str(line["error"]) for line in lines if "error" in line)
        except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError) as exc:
            errors.append(type(exc).__name__)

    thread = threading.Thread(target=pull)
    thread.start()
    return thread


def _layer_folders(root: Path) -> set[str]:
    """Return what lies in the layer store, but for its note of sizes."""
    return {path.name for path in (root / "layers").iterdir()} - {"sizes"}


def _is_whole(image: Any, root: Path) -> bool:
    layers = {layer.removeprefix("sha256:") for layer in image.attrs["RootFS"]["Layers"]}
    return layers <= _layer_folders(root)


def test_a_container_outlives_the_daemon_and_is_found_again(fresh_engine: EngineUnderTest) -> None:
    container_id = _start_counting(fresh_engine.connect())
    pid = fresh_engine.connect().api.inspect_container(container_id)["State"]["Pid"]

    fresh_engine.kill()
    assert Path(f"/proc/{pid}").exists()
    fresh_engine.start()

    client = fresh_engine.connect()
    state = client.api.inspect_container(container_id)["State"]
    assert state["Status"] == "running"
    assert state["Pid"] == pid


def test_the_log_is_whole_and_the_exit_status_right_after_a_kill_of_the_daemon(
    fresh_engine: EngineUnderTest,
) -> None:
    container_id = _start_counting(fresh_engine.connect())
    seen = len(_lines(fresh_engine.connect(), container_id))

    fresh_engine.kill()
    fresh_engine.start()
    client = fresh_engine.connect()
    wait_until(lambda: len(_lines(client, container_id)) > seen + 3, "it goes on counting")
    assert client.containers.get(container_id).exec_run(["touch", "/stop"]).exit_code == 0

    assert client.containers.get(container_id).wait()["StatusCode"] == 7
    lines = _lines(client, container_id)
    assert lines == list(range(1, len(lines) + 1))


def test_an_end_without_a_daemon_is_told_by_the_next_one(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    client.images.pull("busybox", tag="latest")
    script = "echo begun; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo done; exit 9"
    container = client.containers.create("busybox", ["sh", "-c", script])
    container.start()
    wait_until(lambda: container.logs() == b"begun\n", "the container runs")
    pid = client.api.inspect_container(str(container.id))["State"]["Pid"]

    fresh_engine.kill()
    Path(f"/proc/{pid}/root/tmp/go").touch()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the container ends by itself")
    fresh_engine.start()

    again = fresh_engine.connect().containers.get(str(container.id))
    assert again.status == "exited"
    assert again.attrs["State"]["ExitCode"] == 9
    assert again.logs() == b"begun\ndone\n"


def test_a_container_outlives_the_zygote_and_the_next_ones_start(
    fresh_engine: EngineUnderTest,
) -> None:
    client = fresh_engine.connect()
    container_id = _start_counting(client)
    zygote = fresh_engine.zygote_pid()

    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: not _is_alive(zygote), "the zygote is gone")

    assert client.containers.run("busybox", ["echo", "next"], remove=True) == b"next\n"
    assert fresh_engine.zygote_pid() != zygote
    assert client.containers.get(container_id).exec_run(["touch", "/stop"]).exit_code == 0
    assert client.containers.get(container_id).wait()["StatusCode"] == 7
    lines = _lines(client, container_id)
    assert lines == list(range(1, len(lines) + 1))


def _is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def test_a_removed_container_stays_removed(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    container_id = _start_counting(client)

    client.containers.get(container_id).remove(force=True)
    fresh_engine.kill()
    fresh_engine.start()

    assert fresh_engine.connect().containers.list(all=True) == []
    assert list((fresh_engine.root / "containers").iterdir()) == []


def test_rm_is_kept_when_the_end_comes_without_a_daemon(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    client.images.pull("busybox", tag="latest")
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, remove=True)
    pid = client.api.inspect_container(str(container.id))["State"]["Pid"]

    fresh_engine.kill()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the container ends")
    fresh_engine.start()

    after = fresh_engine.connect()
    wait_until(lambda: after.containers.list(all=True) == [], "--rm removes it")


@pytest.fixture
def gated(registry: RunningRegistry, fresh_engine: EngineUnderTest) -> Iterator[Gate]:
    """Put a gate between the engine and its registry."""
    with running_gate(registry.address) as gate:
        fresh_engine.stop()
        fresh_engine.mirrors = [gate.url]
        fresh_engine.start()
        yield gate


def test_a_pull_that_the_daemon_did_not_survive_leaves_the_store_as_before(
    fresh_engine: EngineUnderTest, gated: Gate
) -> None:
    errors: list[str] = []
    thread = _pull_in_thread(fresh_engine, errors)
    assert gated.held.wait(30)

    fresh_engine.kill()
    thread.join(30)
    fresh_engine.start()

    client = fresh_engine.connect()
    assert errors
    assert client.images.list() == []
    assert _layer_folders(fresh_engine.root) == set()
    gated.release()
    image = client.images.pull("slow", tag="latest")
    assert _is_whole(image, fresh_engine.root)
    assert client.containers.run("slow", remove=True) == b"whole\n"


def test_a_pull_goes_on_where_it_was_when_the_daemon_died(
    fresh_engine: EngineUnderTest, gated: Gate
) -> None:
    thread = _pull_in_thread(fresh_engine, [])
    assert gated.held.wait(30)
    ingest = fresh_engine.root / "content" / "ingest"
    wait_until(lambda: any(path.stat().st_size for path in ingest.iterdir()), "bytes are on disk")

    fresh_engine.kill()
    thread.join(30)
    fresh_engine.start()
    gated.release()
    fresh_engine.connect().images.pull("slow", tag="latest")

    assert any("bytes=" in request for request in gated.requests)


def test_a_pull_whose_zygote_dies_fails_and_can_be_repeated(
    fresh_engine: EngineUnderTest, gated: Gate
) -> None:
    errors: list[str] = []
    thread = _pull_in_thread(fresh_engine, errors)
    assert gated.held.wait(30)

    os.kill(fresh_engine.zygote_pid(), signal.SIGKILL)
    gated.release()
    thread.join(60)
    assert not thread.is_alive()

    client = fresh_engine.connect()
    image = client.images.pull("slow", tag="latest")
    assert _is_whole(image, fresh_engine.root)
    assert client.containers.run("slow", remove=True) == b"whole\n"


def test_a_second_daemon_on_the_same_root_is_refused_and_names_the_first(
    fresh_engine: EngineUnderTest,
) -> None:
    second = EngineUnderTest()
    second.root = fresh_engine.root

    with pytest.raises(RuntimeError, match=str(fresh_engine.pid)):
        second.start()

    shutil.rmtree(second.base)
    assert fresh_engine.connect().ping()


@pytest.mark.parametrize("files", [1, 3, 6])
def test_the_store_has_the_layers_that_the_database_names_and_no_others(
    fresh_engine: EngineUnderTest, files: int
) -> None:
    thread = _pull_in_thread(fresh_engine, [])
    wait_until(
        lambda: _content_files(fresh_engine.root) >= files or not thread.is_alive(),
        "the pull is on its way",
    )
    fresh_engine.kill()
    thread.join(30)
    fresh_engine.start()

    images = fresh_engine.connect().images.list()
    named = {layer for image in images for layer in image.attrs["RootFS"]["Layers"]}
    assert {f"sha256:{name}" for name in _layer_folders(fresh_engine.root)} == named


def _content_files(root: Path) -> int:
    return sum(path.is_file() for path in (root / "content").rglob("*"))
