"""Networks of an ordinary user: bridges in the engine's own network namespace."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from tests.integration.test_networks import TOOLS, WEB, WGET, fetch
from tests.support.accounts import Account, unprivileged_account
from tests.support.engine import EngineUnderTest, running_engine, wait_until
from tests.support.probes import why_not

pytestmark = [pytest.mark.needs_rootless]

SUB_IDS, ONE_ID = "sub-ids", "one id"


@pytest.fixture(scope="module", params=[SUB_IDS, ONE_ID])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    has_sub_ids = request.param == SUB_IDS
    for need in ("needs_rootless", *(["needs_newuidmap"] if has_sub_ids else [])):
        if reason := why_not(need):
            pytest.skip(f"{need}: {reason}")
    with unprivileged_account(has_sub_ids=has_sub_ids) as made:
        yield made


@pytest.fixture(scope="module")
def engine(account: Account) -> Iterator[EngineUnderTest]:
    with running_engine(account=account) as started:
        started.connect().images.pull(TOOLS, tag="latest")
        yield started


@pytest.fixture
def client(engine: EngineUnderTest) -> Iterator[docker.DockerClient]:
    connected = engine.connect()
    yield connected
    for container in connected.containers.list(all=True):
        container.remove(force=True)
    connected.networks.prune()


def web(client: docker.DockerClient, name: str, network: str, port: int | None = None) -> Container:
    ports = {} if port is None else {"80/tcp": ("127.0.0.1", port)}
    command = ["sh", "-c", WEB, name]
    return client.containers.run(
        TOOLS, command, name=name, network=network, ports=ports, detach=True
    )


def page(client: docker.DockerClient, name: str, network: str) -> str:
    command = [*WGET, f"http://{name}/"]
    output = client.containers.run(TOOLS, command, network=network, remove=True)
    assert isinstance(output, bytes)
    return output.decode().strip()


def port_of(container: Container) -> str:
    container.reload()
    bindings = container.ports["80/tcp"]
    assert bindings
    return bindings[0]["HostPort"]


def test_two_servers_by_name_and_a_port_of_the_host(client: docker.DockerClient) -> None:
    client.networks.create("mine")
    one = web(client, "one", "mine", 0)
    web(client, "two", "mine")
    assert (page(client, "one", "mine"), page(client, "two", "mine")) == ("one", "two")
    assert fetch(port_of(one)) == "one"


def test_the_default_network_is_the_bridge(client: docker.DockerClient) -> None:
    one = web(client, "one", "bridge")
    one.reload()
    address = one.attrs["NetworkSettings"]["IPAddress"]
    assert page(client, address, "bridge") == "one"


def test_a_running_container_comes_and_goes(client: docker.DockerClient) -> None:
    mine = client.networks.create("mine")
    web(client, "one", "mine")
    two = client.containers.run(TOOLS, ["sleep", "1000"], detach=True)
    mine.connect(two)
    assert two.exec_run([*WGET, "http://one/"]).output == b"one\n"
    mine.disconnect(two)
    assert b"eth1" not in two.exec_run(["busybox", "ip", "link"]).output


def test_ports_and_names_outlive_the_daemon_and_the_service(engine: EngineUnderTest) -> None:
    client = engine.connect()
    client.networks.create("mine")
    one = web(client, "one", "mine", 0)
    port = port_of(one)
    failures: list[Exception] = []
    done = threading.Event()

    def traffic() -> None:
        while not done.is_set() and not failures:
            try:
                assert fetch(port) == "one"
            except Exception as error:  # noqa: BLE001 - the test shows it
                failures.append(error)

    thread = threading.Thread(target=traffic)
    thread.start()
    engine.kill()
    time.sleep(0.5)
    engine.start()
    client = engine.connect()
    assert page(client, "one", "mine") == "one"
    done.set()
    thread.join()
    assert failures == []
    pid = engine.network_service_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: engine.network_service_pid() not in (0, pid), "another one is started")
    wait_until(lambda: page(client, "one", "mine") == "one", "names are known again")
    assert fetch(port) == "one"
    for container in client.containers.list(all=True):
        container.remove(force=True)
    client.networks.prune()
