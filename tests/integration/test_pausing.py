"""Pausing containers, with the real docker client."""

import time

import docker
import pytest
from docker.errors import APIError

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.fixtures import DockerCli
from tests.support.resources import COUNT, actions, cpu_time, run, state

pytestmark = [pytest.mark.needs_cgroup, pytest.mark.needs_docker_cli]


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def test_a_paused_container_does_not_run_and_is_seen_as_paused(
    client: docker.DockerClient, docker_cli: DockerCli
) -> None:
    container = run(client, "sh", "-c", COUNT, name="paused")

    assert docker_cli("pause", "paused").stdout == "paused\n"

    before = cpu_time(container)
    time.sleep(0.3)
    assert cpu_time(container) == before
    seen = state(client, container)
    assert (seen["Status"], seen["Paused"], seen["Running"]) == ("paused", True, True)
    assert "(Paused)" in docker_cli("ps").stdout
    assert docker_cli("info", "-f", "{{.ContainersPaused}}").stdout == "1\n"
    assert docker_cli("unpause", "paused").stdout == "paused\n"
    wait_until(lambda: cpu_time(container) > before, "it runs again")
    assert state(client, container)["Status"] == "running"
    assert actions(client, container)[-2:] == ["pause", "unpause"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("exec", "frozen", "true"), "is paused, unpause the container before exec"),
        (("attach", "frozen"), "unpause"),
        (("start", "frozen"), "cannot start a paused container, try unpause instead"),
        (("pause", "frozen"), "is already paused"),
        (("rm", "frozen"), "must be unpaused first"),
    ],
)
def test_what_a_paused_container_refuses(
    client: docker.DockerClient, docker_cli: DockerCli, arguments: tuple[str, ...], words: str
) -> None:
    run(client, name="frozen").pause()

    refused = docker_cli(*arguments)

    assert refused.returncode == 1
    assert words in refused.stderr


def test_a_paused_container_can_be_stopped_killed_and_removed(client: docker.DockerClient) -> None:
    script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    stopped = run(client, "sh", "-c", script)
    wait_until(lambda: stopped.logs() == b"ready\n", "the trap is set")
    killed, removed = run(client), run(client)
    for each in (stopped, killed, removed):
        each.pause()

    stopped.stop(timeout=20)
    killed.kill()
    removed.remove(force=True)

    assert state(client, stopped)["ExitCode"] == 5
    assert state(client, killed)["ExitCode"] == 137
    assert removed.id not in [each.id for each in client.containers.list(all=True)]


def test_a_signal_that_is_not_its_own_leaves_it_paused(client: docker.DockerClient) -> None:
    container = run(client, stop_signal="QUIT")
    container.pause()

    container.kill("USR1")
    assert state(client, container)["Status"] == "paused"

    container.kill("QUIT")
    wait_until(lambda: state(client, container)["Status"] != "paused", "it is awake")


def test_only_what_runs_can_be_paused(client: docker.DockerClient) -> None:
    created = client.containers.create("busybox", ["true"])
    running = run(client)

    for act, words in ((created.pause, "is not running"), (running.unpause, "is not paused")):
        with pytest.raises(APIError, match=words):
            act()


def test_a_pause_outlives_the_daemon(fresh_engine: EngineUnderTest) -> None:
    fresh_engine.connect().images.pull("busybox", tag="latest")
    container = run(fresh_engine.connect(), "sh", "-c", COUNT, name="kept")
    container.pause()

    fresh_engine.kill()
    fresh_engine.start()

    client = fresh_engine.connect()
    kept = client.containers.get("kept")
    assert kept.status == "paused"
    kept.unpause()
    before = cpu_time(kept)
    wait_until(lambda: cpu_time(kept) > before, "it runs again")
    kept.remove(force=True)
