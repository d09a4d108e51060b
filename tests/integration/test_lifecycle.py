"""Signals, waits, stops, pruning, privileged execs: a container's life beyond start and end."""

import threading
import time
from typing import Any, Literal, get_args

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container

from tests.support.engine import EngineUnderTest, recorded_events, wait_until

# Says which signal it got, for each that it is told of, and goes on.
LISTEN = (
    'for n in $SIGNALS; do trap "echo got $n" $n; done; echo ready; while :; do sleep 0.1; done'
)

Condition = Literal["not-running", "next-exit", "removed"]


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def _run(client: docker.DockerClient, *command: str, **options: Any) -> Container:
    return client.containers.run("busybox", list(command), detach=True, **options)


@pytest.mark.parametrize(
    ("signal", "number"),
    [("SIGHUP", 1), ("usr1", 10), ("12", 12), ("RTMIN+3", 37), ("SIGRTMAX-2", 62), ("35", 35)],
)
def test_signals_reach_the_first_process(
    client: docker.DockerClient, signal: str, number: int
) -> None:
    container = _run(client, "sh", "-c", LISTEN, environment=[f"SIGNALS={number}"])
    wait_until(lambda: container.logs() == b"ready\n", "it listens")

    container.kill(signal=signal)
    wait_until(lambda: container.logs().endswith(b"got %d\n" % number), "it got the signal")
    filters = {"container": [str(container.id)], "event": ["kill"]}
    (event,) = recorded_events(client, since=0, filters=filters)
    assert event["Actor"]["Attributes"]["signal"] == str(number)


def test_the_stop_signal_may_be_a_real_time_one(client: docker.DockerClient) -> None:
    script = "trap 'exit 5' 37; echo ready; while :; do sleep 0.1; done"
    container = _run(client, "sh", "-c", script, stop_signal="SIGRTMIN+3")
    wait_until(lambda: container.logs() == b"ready\n", "it listens")

    container.stop(timeout=20)
    assert container.wait()["StatusCode"] == 5


def test_an_unknown_stop_signal_is_refused_at_once(client: docker.DockerClient) -> None:
    with pytest.raises(APIError, match="invalid signal: SIGNONE") as refused:
        client.containers.create("busybox", ["true"], stop_signal="SIGNONE")
    assert refused.value.status_code == 400


def test_a_stop_waits_as_long_as_it_says_then_kills(client: docker.DockerClient) -> None:
    container = _run(client, "sh", "-c", "trap : TERM; while :; do sleep 0.1; done")

    begin = time.monotonic()
    container.stop(timeout=1)
    assert 1 <= time.monotonic() - begin < 6
    assert container.wait()["StatusCode"] == 137


def test_the_three_conditions_of_a_wait(client: docker.DockerClient) -> None:
    container = _run(client, "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 8")
    codes: dict[str, int] = {}

    def wait(condition: Condition) -> None:
        own = client.containers.get(str(container.id))
        codes[condition] = own.wait(condition=condition)["StatusCode"]

    conditions = get_args(Condition)
    threads = [threading.Thread(target=wait, args=(each,)) for each in conditions]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    container.exec_run(["touch", "/go"])
    wait_until(lambda: len(codes) == 2, "two see the end")
    assert codes == {"not-running": 8, "next-exit": 8}
    assert container.wait(condition="not-running")["StatusCode"] == 8

    container.remove()
    wait_until(lambda: codes.get("removed") == 8, "the last sees the removal")
    for thread in threads:
        thread.join()


def test_a_restart_gives_a_new_process_and_the_same_container(client: docker.DockerClient) -> None:
    container = _run(client, "sh", "-c", "echo run; exec sleep 60")
    before = client.api.inspect_container(str(container.id))["State"]

    container.restart(timeout=0)
    after = client.api.inspect_container(str(container.id))["State"]
    assert after["Pid"] not in (0, before["Pid"])
    wait_until(lambda: container.logs() == b"run\nrun\n", "it ran twice")
    filters = {"container": [str(container.id)]}
    actions = [event["Action"] for event in recorded_events(client, since=0, filters=filters)]
    assert actions == ["create", "start", "die", "stop", "start", "restart"]


def test_a_renamed_container_is_followed_by_its_new_name_only(client: docker.DockerClient) -> None:
    container = _run(client, "sleep", "60", name="old")
    container.rename("new")

    assert client.containers.get("new").id == container.id
    assert client.containers.create("busybox", ["true"], name="old").name == "old"
    with pytest.raises(APIError, match="already in use"):
        container.rename("old")


def test_a_privileged_exec_has_all_capabilities_and_others_not(
    client: docker.DockerClient,
) -> None:
    container = _run(client, "sleep", "60")
    command = ["grep", "CapEff", "/proc/self/status"]

    plain, privileged = (
        int(str(container.exec_run(command, privileged=each).output).split("\\t")[1][:16], 16)
        for each in (False, True)
    )
    assert plain == 0xA80425FB
    # Every capability that this host has given to the engine.
    assert privileged & plain == plain
    assert privileged & (1 << 21), "CAP_SYS_ADMIN"


def test_an_exec_has_its_own_environment_user_and_folder(client: docker.DockerClient) -> None:
    container = _run(client, "sleep", "60", environment=["A=container", "B=container"])
    done = container.exec_run(
        ["sh", "-c", "echo $A $B; pwd; id -u"], environment=["B=exec"], user="7", workdir="/tmp"
    )
    assert done.output == b"container exec\n/tmp\n7\n"


def test_prune_takes_what_fits_its_filters_and_leaves_the_rest(
    client: docker.DockerClient,
) -> None:
    kept = client.containers.create("busybox", ["true"], labels={"keep": "yes"})
    old = client.containers.create("busybox", ["true"])
    assert client.api.prune_containers({"until": "10m"})["ContainersDeleted"] is None
    with pytest.raises(APIError, match="more than one until filter"):
        client.api.prune_containers({"until": ["1h", "2h"]})

    with pytest.raises(APIError, match="invalid filter 'status'"):
        client.api.prune_containers({"status": "exited"})
    deleted = client.api.prune_containers({"label": ["keep=no"]})["ContainersDeleted"]
    assert deleted is None
    deleted = client.api.prune_containers({"label!": ["keep"]})["ContainersDeleted"]
    assert deleted == [old.id]
    deleted = client.api.prune_containers({"until": "0s", "label": ["keep=yes"]})
    assert deleted["ContainersDeleted"] == [kept.id]


def test_a_container_between_two_runs_keeps_the_engine(
    fresh_engine: EngineUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_engine.stop()
    monkeypatch.setenv("DOCKERLAB_IDLE_EXIT", "1")
    fresh_engine.start()
    client = fresh_engine.connect()
    client.images.pull("busybox", tag="latest")
    container = _run(client, "false", restart_policy={"Name": "always"})
    client.close()

    time.sleep(4)
    client = fresh_engine.connect()
    assert client.api.inspect_container(str(container.id))["RestartCount"] > 3
