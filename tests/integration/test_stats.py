"""What containers use, and their processes, with the real docker client."""

import json
import subprocess
import threading
import time
from typing import Any

import docker
import pytest
from docker.errors import APIError

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.fixtures import DockerCli
from tests.support.resources import COUNT, run

pytestmark = [pytest.mark.needs_cgroup, pytest.mark.needs_docker_cli]


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def test_stats_are_what_clients_make_percentages_of(client: docker.DockerClient) -> None:
    container = run(client, "sh", "-c", COUNT, mem_limit="64m", nano_cpus=500_000_000)

    stats = client.api.stats(str(container.id), stream=False)

    used = stats["cpu_stats"]["cpu_usage"]["total_usage"]
    before = stats["precpu_stats"]["cpu_usage"]["total_usage"]
    host = stats["cpu_stats"]["system_cpu_usage"] - stats["precpu_stats"]["system_cpu_usage"]
    percent = 100 * (used - before) / host * stats["cpu_stats"]["online_cpus"]
    assert 1 < percent < 75  # half a processor, on a host that may be busy
    assert stats["cpu_stats"]["throttling_data"]["periods"] > 0
    assert stats["memory_stats"]["limit"] == 64 << 20
    assert 0 < stats["memory_stats"]["usage"] < 32 << 20
    assert "inactive_file" in stats["memory_stats"]["stats"]
    assert stats["pids_stats"]["current"] == 1
    assert stats["id"] == container.id
    assert stats["preread"] < stats["read"]


def test_a_container_without_limits_has_stats_too(client: docker.DockerClient) -> None:
    script = f"({COUNT}) & dd if=/dev/zero of=/kept bs=1M count=4 conv=fsync 2>/dev/null; wait"
    container = run(client, "sh", "-c", script)

    def stats() -> dict[str, Any]:
        return dict(client.api.stats(str(container.id), stream=False, one_shot=True))

    wait_until(
        lambda: sum(
            row["value"] for row in stats()["blkio_stats"]["io_service_bytes_recursive"] or []
        ),
        "something was written",
    )
    one = stats()
    assert one["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert one["memory_stats"]["usage"] > 0
    assert one["memory_stats"]["limit"] > 64 << 20
    assert one["pids_stats"]["current"] in (2, 3)  # dd may be at its end
    wait_until(
        lambda: (
            stats()["cpu_stats"]["cpu_usage"]["total_usage"]
            > one["cpu_stats"]["cpu_usage"]["total_usage"]
        ),
        "it counts on",
    )


def test_stats_of_a_container_that_does_not_run_are_empty(
    client: docker.DockerClient, docker_cli: DockerCli
) -> None:
    container = client.containers.create("busybox", ["true"], name="idle")

    stats = client.api.stats(str(container.id), stream=False)

    assert stats["read"] == "0001-01-01T00:00:00Z"
    assert stats["memory_stats"] == stats["pids_stats"] == {}
    assert stats["name"] == "/idle"
    line = docker_cli("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "idle")
    assert line.stdout == "0B / 0B 0\n"


def test_a_stream_of_stats_has_one_a_second_and_ends_with_the_container(
    client: docker.DockerClient,
) -> None:
    container = run(client)
    seen: list[tuple[float, dict[str, Any]]] = []

    def read() -> None:
        lines = client.api.stats(str(container.id), stream=True, decode=True)
        seen.extend((time.monotonic(), line) for line in lines)

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: len(seen) >= 3, "three samples")
    container.remove(force=True)
    reader.join(20)

    assert not reader.is_alive()
    assert 1.5 < seen[2][0] - seen[0][0] < 4
    assert seen[1][1]["preread"] == seen[0][1]["read"]
    assert seen[0][1]["precpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_the_client_shows_stats(client: docker.DockerClient, docker_cli: DockerCli) -> None:
    run(client, mem_limit="64m", name="shown")

    shown = json.loads(docker_cli("stats", "--no-stream", "--format", "json", "shown").stdout)

    assert shown["MemUsage"].endswith(" / 64MiB")
    assert shown["PIDs"] == "1"


def test_top_shows_the_columns_of_ps(client: docker.DockerClient, docker_cli: DockerCli) -> None:
    container = run(client, "sh", "-c", "sleep 601 & sleep 602; true", name="topped")
    wait_until(lambda: len(client.api.top(str(container.id))["Processes"]) == 3, "all are there")

    table = client.api.top(str(container.id))

    assert table["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    pids = ",".join(row[1] for row in table["Processes"])
    shown = subprocess.run(["ps", "-fww", "-p", pids], capture_output=True, text=True, check=True)
    theirs = [line.split(None, 7) for line in shown.stdout.splitlines()[1:]]
    # C is a percentage of the moment.
    assert [[*row[:3], *row[4:]] for row in table["Processes"]] == [
        [*row[:3], *row[4:]] for row in theirs
    ]
    assert "sleep 602" in docker_cli("top", "topped").stdout


def test_other_columns_come_from_the_hosts_ps(
    client: docker.DockerClient, docker_cli: DockerCli
) -> None:
    container = run(client, name="columns")
    container.reload()

    shown = docker_cli("top", "columns", "-o", "pid,args").stdout.splitlines()

    assert [line.split(None, 1) for line in shown] == [
        ["PID", "COMMAND"],
        [str(container.attrs["State"]["Pid"]), "sleep 600"],
    ]
    assert "find PID field" in docker_cli("top", "columns", "-o", "args").stderr
    assert "ps: " in docker_cli("top", "columns", "--no-such-option").stderr


def test_a_program_cannot_speak_to_the_terminal_by_its_name(client: docker.DockerClient) -> None:
    container = run(client, "sh", "-c", "sleep 603; \x1b[31m\nred", name="loud")

    [commands] = [[row[-1] for row in client.api.top(str(container.id))["Processes"]]]

    assert any("?[31m?red" in command for command in commands)


def test_top_needs_what_runs(client: docker.DockerClient) -> None:
    with pytest.raises(APIError, match="is not running") as refused:
        client.containers.create("busybox", ["true"]).top()

    assert refused.value.status_code == 409


def test_stats_of_many_do_not_keep_others_waiting(
    engine: EngineUnderTest, client: docker.DockerClient
) -> None:
    containers = [run(client) for _ in range(20)]
    streams = [engine.connect() for _ in containers]
    samples = [
        other.api.stats(str(container.id), stream=True)
        for other, container in zip(streams, containers, strict=True)
    ]
    for stream in samples:
        next(stream)

    longest_s = 0.0
    for _ in range(50):
        begin = time.monotonic()
        client.ping()
        longest_s = max(longest_s, time.monotonic() - begin)

    assert longest_s < 1.0
    for container in containers:
        container.remove(force=True)
