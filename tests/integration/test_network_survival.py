"""Traffic and names go on while the daemon or the network service is killed."""

import os
import signal
import threading
import time

import pytest
from docker.models.containers import Container

from tests.integration.test_networks import TOOLS, WEB, WGET, fetch, is_open
from tests.support.engine import EngineUnderTest, wait_until

pytestmark = [pytest.mark.needs_docker_cli]


def test_nothing_drops_when_the_daemon_is_killed(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    client.images.pull(TOOLS, tag="latest")
    client.networks.create("mine")
    client.containers.run(TOOLS, ["sh", "-c", WEB, "one"], name="one", network="mine",
                          ports={"80/tcp": ("127.0.0.1", 0)}, detach=True)  # fmt: skip
    asker = client.containers.run(
        TOOLS, ["sh", "-c", "while busybox nslookup one >/dev/null; do echo ok; done; echo lost"],
        name="asker", network="mine", detach=True,
    )  # fmt: skip
    one = client.containers.get("one")
    port = _port(one)
    wait_until(lambda: b"ok" in asker.logs(), "names are asked for")
    failures: list[Exception] = []
    done = threading.Event()

    def traffic() -> None:
        while not done.is_set():
            try:
                assert fetch(port) == "one"
            except Exception as error:  # noqa: BLE001 - the test shows it
                failures.append(error)
                return

    thread = threading.Thread(target=traffic)
    thread.start()
    time.sleep(0.5)
    fresh_engine.kill()
    time.sleep(1.0)
    assert fetch(port) == "one"
    fresh_engine.start()
    client = fresh_engine.connect()
    again = client.containers.run(TOOLS, [*WGET, "http://one/"], network="mine", remove=True)
    time.sleep(0.5)
    done.set()
    thread.join()
    assert (again.strip(), failures) == (b"one", [])
    assert b"lost" not in client.containers.get("asker").logs()
    assert _port(client.containers.get("one")) == port


def test_a_network_service_that_was_killed_is_made_good(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    client.images.pull(TOOLS, tag="latest")
    client.networks.create("mine")
    one = client.containers.run(
        TOOLS, ["sh", "-c", WEB, "one"], name="one", network="mine",
        ports={"80/tcp": ("127.0.0.1", 0)}, detach=True,
    )  # fmt: skip
    port = _port(one)
    assert fetch(port) == "one"
    pid = fresh_engine.network_service_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: fresh_engine.network_service_pid() not in (0, pid), "another is started")
    wait_until(lambda: is_open(int(port)), "the port is there again")
    assert fetch(port) == "one"
    output = client.containers.run(TOOLS, [*WGET, "http://one/"], network="mine", remove=True)
    assert output.strip() == b"one"


def _port(container: Container) -> str:
    """Return the port of the host that leads to port 80."""
    container.reload()
    bindings = container.ports["80/tcp"]
    assert bindings
    return bindings[0]["HostPort"]
