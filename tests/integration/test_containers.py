"""The verbs on containers, by docker-py, against a real engine."""

import threading
import time
from typing import Any

import docker
import pytest
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from tests.support.engine import recorded_events, wait_until


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def _create(client: docker.DockerClient, *command: str, **options: Any) -> Container:
    return client.containers.create("busybox", list(command), **options)


def test_a_created_container_has_no_process(client: docker.DockerClient) -> None:
    container = _create(client, "true", name="fresh")

    assert container.status == "created"
    assert container.attrs["State"]["Pid"] == 0
    assert container.attrs["Name"] == "/fresh"
    assert container.attrs["Args"] == []
    assert container.attrs["Path"] == "true"


def test_a_name_is_taken_once(client: docker.DockerClient) -> None:
    _create(client, "true", name="once")

    with pytest.raises(APIError, match="already in use") as refused:
        _create(client, "true", name="once")

    assert refused.value.status_code == 409


def test_list_shows_running_ones_unless_all_is_asked_for(client: docker.DockerClient) -> None:
    running = _create(client, "sleep", "60")
    created = _create(client, "true")
    running.start()

    listed = {container.id for container in client.containers.list()}
    everything = {container.id for container in client.containers.list(all=True)}

    assert running.id in listed
    assert created.id not in listed
    assert {running.id, created.id} <= everything


def test_start_of_a_running_container_changes_nothing(client: docker.DockerClient) -> None:
    container = _create(client, "sleep", "60")
    container.start()
    pid = client.api.inspect_container(str(container.id))["State"]["Pid"]

    container.start()

    assert client.api.inspect_container(str(container.id))["State"]["Pid"] == pid


def test_wait_gives_the_exit_status(client: docker.DockerClient) -> None:
    container = _create(client, "sh", "-c", "exit 42")

    container.start()

    assert container.wait()["StatusCode"] == 42
    container.reload()
    assert container.status == "exited"
    assert container.attrs["State"]["ExitCode"] == 42
    assert container.attrs["State"]["Pid"] == 0


def test_wait_before_start_sees_the_exit(client: docker.DockerClient) -> None:
    container = _create(client, "sh", "-c", "exit 3")
    seen: list[int] = []
    waiter = threading.Thread(
        target=lambda: seen.append(container.wait(condition="next-exit")["StatusCode"])
    )
    waiter.start()
    time.sleep(0.2)  # the request has to arrive before the start; later it would wait for ever

    container.start()
    waiter.join(20)

    assert seen == [3]


def test_a_container_starts_again_with_what_it_wrote(client: docker.DockerClient) -> None:
    container = _create(client, "sh", "-c", "echo line >> /kept; cat /kept")

    for _ in range(2):
        container.start()
        container.wait()

    assert container.logs() == b"line\nline\nline\n"


def test_stop_sends_term_and_lets_the_program_end(client: docker.DockerClient) -> None:
    script = "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    container = _create(client, "sh", "-c", script)
    container.start()
    wait_until(lambda: container.logs() == b"ready\n", "the trap is set")

    container.stop(timeout=20)

    container.reload()
    assert container.attrs["State"]["ExitCode"] == 5
    assert container.logs() == b"ready\nasked\n"


def test_stop_kills_what_does_not_end_in_time(client: docker.DockerClient) -> None:
    container = _create(client, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    container.start()
    wait_until(lambda: container.logs() == b"ready\n", "the trap is set")

    container.stop(timeout=1)

    container.reload()
    assert container.attrs["State"]["ExitCode"] == 137


def test_kill_ends_it_with_the_signal_added_to_128(client: docker.DockerClient) -> None:
    container = _create(client, "sleep", "60")
    container.start()

    container.kill()

    assert container.wait()["StatusCode"] == 137


def test_kill_of_a_container_that_does_not_run_is_a_conflict(client: docker.DockerClient) -> None:
    container = _create(client, "true")

    with pytest.raises(APIError, match="is not running") as refused:
        container.kill()

    assert refused.value.status_code == 409


def test_a_running_container_is_removed_by_force_only(client: docker.DockerClient) -> None:
    container = _create(client, "sleep", "60")
    container.start()

    with pytest.raises(APIError) as refused:
        container.remove()
    container.remove(force=True)

    assert refused.value.status_code == 409
    with pytest.raises(NotFound, match=f"No such container: {container.id}"):
        client.containers.get(str(container.id))


def test_rename_keeps_the_container(client: docker.DockerClient) -> None:
    container = _create(client, "true", name="before")

    container.rename("after")

    assert client.containers.get("after").id == container.id
    with pytest.raises(NotFound):
        client.containers.get("before")


def test_a_container_is_found_by_the_beginning_of_its_id(client: docker.DockerClient) -> None:
    container = _create(client, "true")

    assert client.containers.get(str(container.id)[:12]).id == container.id


def test_logs_keep_the_streams_apart_and_can_be_cut(client: docker.DockerClient) -> None:
    container = _create(client, "sh", "-c", "echo one; echo two; echo wrong >&2")
    container.start()
    container.wait()

    assert container.logs(stdout=True, stderr=False) == b"one\ntwo\n"
    assert container.logs(stdout=False, stderr=True) == b"wrong\n"
    # As in Docker, the tail is of both streams.
    assert container.logs(tail=2).count(b"\n") == 2
    assert container.logs(stdout=True, stderr=False, tail=3) == b"one\ntwo\n"


def test_logs_follow_until_the_end(client: docker.DockerClient) -> None:
    container = _create(client, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
    container.start()

    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"


def test_attach_before_start_gets_the_first_byte(client: docker.DockerClient) -> None:
    container = _create(client, "sh", "-c", "echo early; echo late >&2")
    stream = client.api.attach(str(container.id), stream=True, demux=True)

    container.start()

    out, err = zip(*stream, strict=True)
    stream.close()
    assert b"".join(filter(None, out)) == b"early\n"
    assert b"".join(filter(None, err)) == b"late\n"


def test_events_tell_the_life_of_a_container(client: docker.DockerClient) -> None:
    since = int(time.time())
    container = _create(client, "sh", "-c", "exit 4", labels={"purpose": "events"})
    container.start()
    container.wait()
    container.remove()

    events = recorded_events(client, since=since, filters={"container": [str(container.id)]})

    assert [event["Action"] for event in events] == ["create", "start", "die", "destroy"]
    die = events[2]["Actor"]["Attributes"]
    assert die["exitCode"] == "4"
    assert die["purpose"] == "events"


def test_filters_select_by_status_label_and_name(client: docker.DockerClient) -> None:
    container = _create(client, "true", name="chosen", labels={"kind": "probe"})
    _create(client, "true", name="other")

    for key, value in (("label", "kind=probe"), ("name", "chosen")):
        found = client.containers.list(all=True, filters={key: value})
        assert [one.id for one in found] == [container.id]
    assert client.containers.list(filters={"status": "exited", "name": "chosen"}) == []


def test_exec_runs_in_the_container(client: docker.DockerClient) -> None:
    container = _create(client, "sleep", "60", environment={"COLOUR": "green"})
    container.start()

    done = container.exec_run(["sh", "-c", "echo $COLOUR; hostname; exit 9"])

    assert done.exit_code == 9
    assert isinstance(done.output, bytes)
    assert done.output.decode().split() == ["green", str(container.id)[:12]]


def test_exec_needs_a_running_container(client: docker.DockerClient) -> None:
    container = _create(client, "true")

    with pytest.raises(APIError) as refused:
        container.exec_run(["true"])

    assert refused.value.status_code == 409


def test_options_that_are_not_there_yet_are_refused_by_name(client: docker.DockerClient) -> None:
    with pytest.raises(APIError, match="--cgroup-parent") as refused:
        _create(client, "true", cgroup_parent="/lab")

    assert refused.value.status_code == 501
