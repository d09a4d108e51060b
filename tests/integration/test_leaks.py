"""Two hundred containers come and go, in every way there is, and leave nothing behind."""

import dataclasses
import time

import docker
import pytest
from docker.errors import APIError

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.leaks import Footprint, take_footprint

COUNT = 200
SETTLE_S = 20.0


@pytest.mark.needs_cgroup
def test_200_containers_leave_nothing(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    client.images.pull("busybox", tag="latest")
    ids: set[str] = set()
    for number in range(10):  # What is made once, at the first use, is no leak.
        _come_and_go(client, number, ids)
    before = _settled(fresh_engine, ids, None)

    for number in range(COUNT):
        _come_and_go(client, number, ids)

    after = _settled(fresh_engine, ids, before)
    assert len(ids) >= COUNT
    for field in dataclasses.fields(Footprint):
        # What others on this machine have taken away meanwhile is no matter.
        left = set(getattr(after, field.name)) - set(getattr(before, field.name))
        assert left == set(), field.name
    assert client.containers.list(all=True) == []


def _come_and_go(client: docker.DockerClient, number: int, ids: set[str]) -> None:
    """Run and remove one container, in the way whose turn it is."""
    api = client.api
    match number % 5:
        case 0:  # as `docker run --rm`
            config = api.create_host_config(auto_remove=True)
            created = api.create_container("busybox", ["echo", "hi"], host_config=config)
            api.start(created["Id"])
            wait_until(lambda: not _exists(client, created["Id"]), "--rm removes it")
        case 1:  # ended by itself, with a terminal
            created = api.create_container("busybox", ["sh", "-c", "exit 3"], tty=True)
            api.start(created["Id"])
            assert api.wait(created["Id"])["StatusCode"] == 3
            api.remove_container(created["Id"])
        case 2:  # removed while it runs, with execs
            created = api.create_container("busybox", ["sleep", "60"])
            api.start(created["Id"])
            done = client.containers.get(created["Id"]).exec_run(["echo", "in"])
            assert done.output == b"in\n"
            api.exec_start(api.exec_create(created["Id"], ["sleep", "50"])["Id"], detach=True)
            api.remove_container(created["Id"], force=True)
        case 3:  # never started: there is no such program
            created = api.create_container("busybox", ["no-such-program"])
            with pytest.raises(APIError):
                api.start(created["Id"])
            api.remove_container(created["Id"])
        case _:  # restarted by its policy
            policy: dict[str, str | int] = {"Name": "on-failure", "MaximumRetryCount": 1}
            config = api.create_host_config(restart_policy=policy)
            created = api.create_container("busybox", ["false"], host_config=config)
            api.start(created["Id"])
            wait_until(
                lambda: api.inspect_container(created["Id"])["State"]["Status"] == "exited",
                "it gives up",
            )
            api.remove_container(created["Id"])
    ids.add(created["Id"])


def _exists(client: docker.DockerClient, container_id: str) -> bool:
    found = client.api.containers(all=True, filters={"id": container_id})
    return bool(found)


def _settled(engine: EngineUnderTest, ids: set[str], wanted: Footprint | None) -> Footprint:
    """Return the footprint when it is as wanted, or does not change any more."""
    folders = [engine.root, engine.runtime_dir]
    deadline = time.monotonic() + SETTLE_S
    last = None
    while True:
        found = take_footprint([engine.pid, engine.zygote_pid()], folders, ids)
        if found == wanted or time.monotonic() > deadline or (wanted is None and found == last):
            return found
        last = found
        time.sleep(0.5)
