"""Health checks: their states, their log, and what they leave behind."""

from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.support.engine import EngineUnderTest, recorded_events, wait_until
from tests.support.fixtures import DockerCli

SECOND_NS = 10**9
TENTH_NS = 10**8


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def _run(client: docker.DockerClient, **check: Any) -> Container:
    options: dict[str, Any] = {"interval": TENTH_NS, "timeout": SECOND_NS, "retries": 2, **check}
    return client.containers.run(
        "busybox", ["sleep", "60"], detach=True, healthcheck=options, stop_signal="SIGKILL"
    )


def _health(client: docker.DockerClient, container: Container) -> dict[str, Any]:
    found: dict[str, Any] = client.api.inspect_container(str(container.id))["State"]["Health"]
    return found


def _wait_for(client: docker.DockerClient, container: Container, status: str) -> dict[str, Any]:
    wait_until(lambda: _health(client, container)["Status"] == status, f"it is {status}")
    return _health(client, container)


def test_it_starts_becomes_healthy_and_then_unhealthy(client: docker.DockerClient) -> None:
    container = _run(client, test=["CMD-SHELL", "echo looked; ! test -e /sick"])
    assert _health(client, container)["Status"] == "starting"
    shown = client.api.containers(filters={"id": container.id})[0]["Status"]
    assert shown.endswith("(health: starting)")

    health = _wait_for(client, container, "healthy")
    assert health["FailingStreak"] == 0
    assert (health["Log"][-1]["ExitCode"], health["Log"][-1]["Output"]) == (0, "looked\n")
    assert health["Log"][-1]["Start"] < health["Log"][-1]["End"]
    shown = client.api.containers(filters={"health": "healthy"})
    assert [each["Status"].endswith("(healthy)") for each in shown] == [True]

    assert container.exec_run(["touch", "/sick"]).exit_code == 0
    health = _wait_for(client, container, "unhealthy")
    assert health["FailingStreak"] >= 2
    filters = {"container": [str(container.id)], "event": ["health_status"]}
    events = recorded_events(client, since=0, filters=filters)
    states = [event["Action"] for event in events]
    assert states == ["health_status: healthy", "health_status: unhealthy"]


def test_the_log_has_the_last_five_and_no_more_than_4_kib_of_each(
    client: docker.DockerClient,
) -> None:
    container = _run(client, test=["CMD-SHELL", "head -c 5000 /dev/zero | tr '\\0' x"])
    wait_until(lambda: len(_health(client, container)["Log"]) == 5, "it was probed often")
    first = _health(client, container)["Log"][0]["Start"]
    wait_until(lambda: _health(client, container)["Log"][0]["Start"] > first, "the oldest goes")

    log = _health(client, container)["Log"]
    assert len(log) == 5
    assert log[0]["Output"] == "x" * 4096 + "..."


def test_a_probe_that_takes_too_long_is_killed_and_has_failed(client: docker.DockerClient) -> None:
    container = _run(client, test=["CMD-SHELL", "sleep 1000; true"], timeout=2 * TENTH_NS)
    health = _wait_for(client, container, "unhealthy")

    assert health["Log"][0]["ExitCode"] == -1
    assert health["Log"][0]["Output"] == "Health check exceeded timeout (0.2s)"
    # One probe may be at work: a shell and its child.
    wait_until(lambda: _count_processes(container, "sleep 1000") <= 2, "the others are gone")


def _count_processes(container: Container, words: str) -> int:
    listed = container.exec_run(["ps", "-o", "args"]).output
    assert isinstance(listed, bytes)
    return listed.decode().count(words)


def test_what_cannot_be_executed_has_failed(client: docker.DockerClient) -> None:
    container = _run(client, test=["CMD", "no-such-program"])

    health = _wait_for(client, container, "unhealthy")
    assert health["Log"][0]["ExitCode"] == -1
    assert "executable file not found in $PATH" in health["Log"][0]["Output"]


@pytest.mark.needs_docker_cli
def test_failures_in_the_start_period_do_not_count(
    client: docker.DockerClient, docker_cli: DockerCli
) -> None:
    options = ["--health-cmd=false", "--health-start-period=60s", "--health-start-interval=100ms"]
    run = docker_cli("run", "-d", *options, "busybox", "sleep", "60")
    container = client.containers.get(run.stdout.strip())
    wait_until(lambda: len(_health(client, container)["Log"]) >= 4, "it was probed often")

    health = _health(client, container)
    assert (health["Status"], health["FailingStreak"]) == ("starting", 0)


def test_none_turns_it_off(client: docker.DockerClient) -> None:
    container = _run(client, test=["NONE"])

    assert "Health" not in client.api.inspect_container(str(container.id))["State"]
    assert client.api.containers(filters={"id": container.id, "health": "none"})


def test_a_new_start_begins_anew_and_an_end_is_unhealthy(client: docker.DockerClient) -> None:
    container = _run(client, test=["CMD", "true"])
    _wait_for(client, container, "healthy")

    container.stop()
    assert _health(client, container)["Status"] == "unhealthy"
    container.start()
    assert _health(client, container)["Status"] == "starting"
    _wait_for(client, container, "healthy")


def test_a_new_daemon_goes_on_probing(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    client.images.pull("busybox", tag="latest")
    container = _run(client, test=["CMD-SHELL", "! test -e /sick"])
    _wait_for(client, container, "healthy")

    fresh_engine.kill()
    fresh_engine.start()
    client = fresh_engine.connect()
    assert _health(client, container)["Status"] == "healthy"
    client.containers.get(str(container.id)).exec_run(["touch", "/sick"])
    _wait_for(client, container, "unhealthy")
