"""Restart policies: who starts again, after how long, and who does not."""

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container

from tests.support.engine import EngineUnderTest, recorded_events, wait_until

ALWAYS = {"Name": "always"}
UNLESS_STOPPED = {"Name": "unless-stopped"}


def _run(client: docker.DockerClient, *command: str, **options: Any) -> Container:
    client.images.pull("busybox", tag="latest")
    return client.containers.run("busybox", list(command), detach=True, **options)


def _inspect(client: docker.DockerClient, container: Container) -> dict[str, Any]:
    found: dict[str, Any] = client.api.inspect_container(str(container.id))
    return found


def _state(client: docker.DockerClient, container: Container) -> dict[str, Any]:
    state: dict[str, Any] = _inspect(client, container)["State"]
    return state


def test_on_failure_tries_as_often_as_it_says_and_keeps_the_last_status(
    client: docker.DockerClient,
) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    container = _run(client, "sh", "-c", "echo try; exit 3", restart_policy=policy)

    wait_until(lambda: _state(client, container)["Status"] == "exited", "it gives up")
    found = _inspect(client, container)
    assert found["RestartCount"] == 2
    assert found["State"]["ExitCode"] == 3
    assert container.logs() == b"try\n" * 3
    assert found["HostConfig"]["RestartPolicy"] == policy


def test_on_failure_leaves_a_success_alone(client: docker.DockerClient) -> None:
    container = _run(client, "true", restart_policy={"Name": "on-failure"})

    assert container.wait()["StatusCode"] == 0
    assert _state(client, container)["Status"] == "exited"
    assert _inspect(client, container)["RestartCount"] == 0


def test_the_pauses_between_the_tries_double_from_100_ms(client: docker.DockerClient) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 4}
    container = _run(client, "false", restart_policy=policy)
    wait_until(lambda: _state(client, container)["Status"] == "exited", "it gives up")

    filters = {"container": [str(container.id)], "event": ["start", "die"]}
    events = recorded_events(client, since=0, filters=filters)
    times = [(event["Action"], event["timeNano"] / 1e9) for event in events]
    assert [action for action, _ in times] == ["start", "die"] * 5
    pauses = [times[i + 1][1] - times[i][1] for i in range(1, len(times) - 1, 2)]
    for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.8), strict=True):
        assert least <= pause < least * 2 + 1


def test_a_stop_holds_although_the_policy_is_always(client: docker.DockerClient) -> None:
    container = _run(client, "sleep", "60", restart_policy=ALWAYS)

    container.stop(timeout=0)
    time.sleep(0.4)
    assert _state(client, container)["Status"] == "exited"
    container.start()
    assert _inspect(client, container)["RestartCount"] == 0


def test_an_end_of_its_own_starts_it_again(client: docker.DockerClient) -> None:
    container = _run(client, "sleep", "60", restart_policy=UNLESS_STOPPED)
    pid = _state(client, container)["Pid"]

    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _state(client, container)["Pid"] not in (0, pid), "it runs again")
    assert _inspect(client, container)["RestartCount"] == 1


def test_between_two_tries_it_is_restarting_and_a_stop_ends_that(
    client: docker.DockerClient,
) -> None:
    container = _run(client, "sh", "-c", "exit 5", restart_policy=ALWAYS)
    wait_until(lambda: _inspect(client, container)["RestartCount"] > 3, "it has tried")
    wait_until(lambda: _state(client, container)["Status"] == "restarting", "it pauses")

    state = _state(client, container)
    assert (state["Running"], state["Restarting"], state["ExitCode"]) == (True, True, 5)
    with pytest.raises(APIError, match="is restarting") as refused:
        container.exec_run(["true"])
    assert refused.value.status_code == 409
    with pytest.raises(APIError, match="container is restarting: stop the container"):
        container.remove()

    container.stop(timeout=1)
    assert _state(client, container)["Status"] == "exited"
    tries = _inspect(client, container)["RestartCount"]
    time.sleep(1)
    assert _inspect(client, container)["RestartCount"] == tries


def test_a_restarting_container_is_removed_by_force(client: docker.DockerClient) -> None:
    container = _run(client, "false", restart_policy=ALWAYS)
    wait_until(lambda: _state(client, container)["Status"] == "restarting", "it pauses")

    container.remove(force=True)
    assert str(container.id) not in {each.id for each in client.containers.list(all=True)}


def test_a_wait_that_was_there_sees_the_exit_between_two_runs(client: docker.DockerClient) -> None:
    container = _run(client, "sh", "-c", "sleep 0.5; exit 6", restart_policy=ALWAYS)

    assert container.wait(condition="next-exit")["StatusCode"] == 6
    assert container.wait(condition="not-running")["StatusCode"] == 6


def test_rm_and_a_policy_are_refused_together(client: docker.DockerClient) -> None:
    with pytest.raises(APIError, match="can't create 'AutoRemove' container") as refused:
        _run(client, "true", restart_policy=ALWAYS, auto_remove=True)

    assert refused.value.status_code == 400


def test_a_new_daemon_restarts_what_ended_without_one(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    container = _run(client, "sleep", "60", restart_policy=UNLESS_STOPPED)
    pid = _state(client, container)["Pid"]

    fresh_engine.kill()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "it ends")
    fresh_engine.start()

    client = fresh_engine.connect()
    wait_until(lambda: _state(client, container)["Status"] == "running", "it runs again")
    assert _inspect(client, container)["RestartCount"] == 1


def test_a_pause_between_two_tries_outlives_the_daemon(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    container = _run(client, "false", restart_policy=ALWAYS)
    wait_until(lambda: _inspect(client, container)["RestartCount"] > 3, "it has tried")
    tries = _inspect(client, container)["RestartCount"]

    fresh_engine.kill()
    fresh_engine.start()

    client = fresh_engine.connect()
    wait_until(lambda: _inspect(client, container)["RestartCount"] > tries, "it tries again")


def test_after_a_reboot_they_come_back_but_for_those_that_were_stopped(
    fresh_engine: EngineUnderTest,
) -> None:
    client = fresh_engine.connect()
    runs = {
        name: _run(client, "sleep", "60", name=name, restart_policy={"Name": policy})
        for name, policy in {
            "none": "no",
            "always": "always",
            "always-stopped": "always",
            "unless": "unless-stopped",
            "unless-stopped": "unless-stopped",
        }.items()
    }
    for name in ("always-stopped", "unless-stopped"):
        runs[name].stop(timeout=0)
    pids = [_state(client, runs[name])["Pid"] for name in ("none", "always", "unless")]

    fresh_engine.kill()
    _power_cut(fresh_engine, pids)
    fresh_engine.start()

    client = fresh_engine.connect()
    running = ["always", "always-stopped", "unless"]
    wait_until(
        lambda: sorted(str(c.name) for c in client.containers.list()) == running, "they come back"
    )
    state = _state(client, runs["none"])
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 255, 0)
    assert _state(client, runs["unless-stopped"])["Status"] == "exited"


def _power_cut(engine: EngineUnderTest, pids: list[int]) -> None:
    """Leave what a power cut leaves: records of another boot, no process, and stale sockets."""
    for pid in pids:
        # The monitor first: it shall write no exit record.
        status = Path(f"/proc/{pid}/status").read_text()
        monitor = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))
        os.kill(int(monitor), signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "all is gone")
    with closing(sqlite3.connect(engine.root / "engine.sqlite")) as database, database:
        # A number of the old boot that is somebody's in this one: ours.
        database.execute(
            "UPDATE containers SET record = json_set(CAST(record AS TEXT),"
            " '$.state.boot_id', 'another', '$.state.pid', ?)"
            " WHERE json_extract(CAST(record AS TEXT), '$.state.status') = 'running'",
            (os.getpid(),),
        )
