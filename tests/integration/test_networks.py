"""Networks by the real docker client: bridges, names, published ports, and who keeps them."""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import docker
import pytest

from tests.support.engine import EngineUnderTest, recorded_events, wait_until
from tests.support.fixtures import DockerCli

pytestmark = [pytest.mark.needs_docker_cli]

# Programs of the host with their libraries: the static busybox cannot look up names.
TOOLS = "hub.localhost/tools"
PYTHON = f"{TOOLS}:python"
# Its own time limit makes the static busybox of Debian 12 crash.
WGET = ("sh", "-c", 'busybox timeout 5 busybox wget -q -O- "$0"; exit $?')
NO_ANSWER = 143
# Links while nothing runs: the default bridge, and two cables that wait for containers.
_AT_REST = 3
# How many containers come and go; `make networks` has more.
RUNS = int(os.environ.get("DOCKERLAB_TEST_RUNS", "60"))
WEB = 'echo "$0" > /index.html; exec busybox httpd -f -h /'
ECHO = """
import signal
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 9000))
while True:
    data, sender = sock.recvfrom(100)
    sock.sendto(data, sender)
"""


class Docker:
    """The client, whose failures are the test's unless it asks for them."""

    def __init__(self, cli: DockerCli) -> None:
        self._cli = cli

    def __call__(self, *arguments: str) -> str:
        done = self._cli(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout.strip()

    def refusal(self, *arguments: str) -> str:
        done = self._cli(*arguments)
        assert done.returncode != 0, (arguments, done.stdout)
        return done.stderr.strip()

    def status(self, *arguments: str) -> int:
        return self._cli(*arguments).returncode

    def web(self, name: str, *options: str, text: str = "") -> None:
        """Run a web server that says its name."""
        self("run", "-d", "--name", name, *options, TOOLS, "sh", "-c", WEB, text or name)

    def inspect(self, name: str, template: str) -> str:
        return self("inspect", "-f", template, name)

    def address(self, name: str, network: str = "bridge") -> str:
        template = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
        return self.inspect(name, template)

    def fetch(self, where: str, *options: str) -> str:
        """Fetch a page from within a new container."""
        return self("run", "--rm", *options, TOOLS, *WGET, where)


@pytest.fixture
def run(docker_cli: DockerCli, client: docker.DockerClient) -> Iterator[Docker]:
    client.images.pull(TOOLS, tag="latest")
    client.images.pull(TOOLS, tag="python")
    driver = Docker(docker_cli)
    yield driver
    for container in client.containers.list(all=True):
        container.remove(force=True)
    client.networks.prune()


def fetch(port: int | str, host: str = "127.0.0.1") -> str:
    with urlopen(f"http://{host}:{port}/", timeout=5) as answer:
        data: bytes = answer.read()
    return data.decode().strip()


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def fetch_when_it_listens(port: int) -> str:
    for _ in range(50):
        try:
            return fetch(port)
        except OSError:
            time.sleep(0.1)
    return fetch(port)


def links_of(engine: EngineUnderTest) -> list[str]:
    """Return the links of the engine that belong to containers."""
    shown = json.loads(subprocess.check_output(["ip", "-j", "link"], timeout=10))
    mark = f"dl{engine.runtime_dir.name[:4]}"
    return [link["ifname"] for link in shown if link["ifname"].startswith(mark)]


def footprint(engine: EngineUnderTest) -> dict[str, int]:
    """Count what containers on networks could leave: links, rules, what the service holds."""
    pid = engine.network_service_pid()
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=False)
    return {
        "links": len(links_of(engine)),
        "rules": sum(engine.runtime_dir.name[:4] in line for line in rules.stdout.splitlines()),
        "descriptors of the service": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "descriptors of the daemon": len(list(Path(f"/proc/{engine.pid}/fd").iterdir())),
    }


def resting_footprint(engine: EngineUnderTest) -> dict[str, int]:
    """Wait until what is prepared ahead is there, and nothing else; return the footprint then."""
    last: list[dict[str, int]] = []

    def is_at_rest() -> bool:
        time.sleep(0.3)
        last.append(footprint(engine))
        return last[-1]["links"] == _AT_REST and last[-1:] == last[-2:-1]

    wait_until(is_at_rest, "the service has prepared what it does ahead")
    return last[-1]


def test_two_containers_reach_each_other_by_address(run: Docker) -> None:
    run.web("one")
    address = run.address("one")
    assert run("run", "--rm", TOOLS, "busybox", "ping", "-c", "1", "-W", "5", address)
    assert run.fetch(f"http://{address}/") == "one"
    assert run("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "one") == address
    assert (
        run("exec", "one", "sh", "-c", "busybox grep $(busybox hostname) /etc/hosts").split()[0]
        == address
    )
    shown = json.loads(run("network", "inspect", "bridge"))[0]
    assert [c["Name"] for c in shown["Containers"].values()] == ["one"]


def test_a_published_port_is_fetched_from_the_host(run: Docker) -> None:
    run.web("one", "-p", "0:80", "-p", "127.0.0.1:18200-18299:80")
    ports = dict(
        line.split(" -> ") for line in run("port", "one").splitlines() if "127.0.0.1" not in line
    )
    port = ports["80/tcp"].rpartition(":")[2]
    ranged = next(
        line.rpartition(":")[2] for line in run("port", "one").splitlines() if "127.0.0.1" in line
    )
    assert fetch(port) == fetch(ranged) == "one"
    assert 18200 <= int(ranged) <= 18299
    assert f"127.0.0.1:{ranged}->80/tcp" in run("ps", "--format", "{{.Ports}}")
    assert run("ps", "-q", "--filter", "publish=80")
    assert "already allocated" in run.refusal("run", "--rm", "-p", f"{port}:80", TOOLS, "true")
    run("rm", "-f", "one")
    wait_until(lambda: not is_open(int(port)), "the port is closed with the container")


def test_a_published_port_of_udp_goes_both_ways(run: Docker) -> None:
    options = ["-d", "--name", "echo", "-p", "127.0.0.1:0:9000/udp"]
    run("run", *options, PYTHON, "python3", "-c", ECHO)
    port = int(run("port", "echo", "9000/udp").rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.connect(("127.0.0.1", port))
        for _ in range(20):
            sock.send(b"hello")
            try:
                assert sock.recv(100) == b"hello"
            except (TimeoutError, ConnectionRefusedError):
                continue  # It does not listen yet.
            return
    pytest.fail("nothing came back")


def test_all_exposed_ports_are_published_when_asked(run: Docker) -> None:
    run.web("one", "-P", "--expose", "80")
    assert fetch(run("port", "one", "80/tcp").splitlines()[0].rpartition(":")[2]) == "one"


def test_a_start_that_fails_gives_everything_back(run: Docker, engine: EngineUnderTest) -> None:
    run("run", "--rm", "-p", "0:80", TOOLS, "true")
    before = resting_footprint(engine)
    for _ in range(3):
        assert "not found" in run.refusal("run", "--rm", "-p", "18390:80", TOOLS, "nothing")
    wait_until(lambda: footprint(engine) == before, "nothing is left")
    run.web("one", "-p", "18390:80")
    assert fetch_when_it_listens(18390) == "one"


def test_a_container_that_is_restarted_keeps_its_place(run: Docker) -> None:
    run.web("one", "-p", "18390:80", "--restart", "always")
    address = run.address("one")
    for _ in range(3):
        run("restart", "-t", "0", "one")
    assert (run.address("one"), fetch_when_it_listens(18390)) == (address, "one")
    run("stop", "-t", "0", "one")
    assert (run.address("one"), run("port", "one")) == ("", "")


def test_on_a_network_of_ones_own_names_are_known(run: Docker) -> None:
    run("network", "create", "mine")
    for name in ("one", "two"):
        run.web(name, "--network", "mine", "--network-alias", "both")
    assert run.fetch("http://one/", "--network", "mine") == "one"
    both = [run("exec", "one", "busybox", "nslookup", "-type=a", "both") for _ in range(4)]
    found = [re.findall(r"Name:\s+both\s+Address: (\S+)", text) for text in both]
    assert {addresses[0] for addresses in found} == {run.address(n, "mine") for n in ("one", "two")}
    resolver = run("run", "--rm", "--network", "mine", TOOLS, "cat", "/etc/resolv.conf")
    assert "nameserver 127.0.0.11" in resolver
    assert "has active endpoints" in run.refusal("network", "rm", "mine")


def test_networks_are_apart(run: Docker) -> None:
    run("network", "create", "mine")
    run("network", "create", "other")
    run.web("one", "--network", "mine")
    address = run.address("one", "mine")
    fetching = [TOOLS, *WGET, f"http://{address}/"]
    for network in ("other", "bridge"):
        assert run.status("run", "--rm", "--network", network, *fetching) == NO_ANSWER
    assert run("run", "--rm", "--network", "mine", *fetching) == "one"


def test_an_internal_network_has_no_way_out(run: Docker) -> None:
    run("network", "create", "--internal", "inside")
    run.web("one", "--network", "inside")
    assert run.fetch("http://one/", "--network", "inside") == "one"
    routes = run("run", "--rm", "--network", "inside", TOOLS, "busybox", "ip", "route")
    assert "default" not in routes


def test_addresses_may_be_chosen(run: Docker) -> None:
    run("network", "create", "--subnet", "10.98.7.0/24", "--ip-range", "10.98.7.128/25", "mine")
    run("network", "create", "--ipv6", "--subnet", "fd98:7::/64", "six")
    run.web("one", "--network", "mine", "--ip", "10.98.7.9", "--mac-address", "02:00:00:00:00:99")
    assert run.address("one", "mine") == "10.98.7.9"
    assert "02:00:00:00:00:99" in run("exec", "one", "busybox", "ip", "link", "show", "eth0")
    run.web("two", "--network", "mine")
    assert int(run.address("two", "mine").rpartition(".")[2]) >= 128
    again = ["run", "--rm", "--network", "mine", "--ip", "10.98.7.9", TOOLS, "true"]
    assert "in use" in run.refusal(*again)
    run.web("three", "--network", "six", "--ip6", "fd98:7::99")
    assert run.fetch("http://[fd98:7::99]/", "--network", "six") == "three"
    overlap = ["network", "create", "--subnet", "10.98.0.0/16", "wide"]
    assert "Pool overlaps" in run.refusal(*overlap)


def test_a_container_may_be_on_several_networks(run: Docker) -> None:
    run("network", "create", "mine")
    run("network", "create", "other")
    run.web("one", "--network", "mine", "--network", "other")
    assert run.fetch("http://one/", "--network", "mine") == "one"
    assert run.fetch("http://one/", "--network", "other") == "one"
    places = run.inspect("one", "{{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}")
    assert places.split() == ["mine", "other"]
    assert run("ps", "-q", "--filter", "network=other")


def test_a_running_container_comes_and_goes(run: Docker) -> None:
    run("network", "create", "mine")
    run.web("server", "--network", "mine")
    run("run", "-d", "--name", "one", TOOLS, "sleep", "1000")
    assert run.status("exec", "one", *WGET, "http://server/") != 0
    run("network", "connect", "--alias", "me", "mine", "one")
    assert run("exec", "one", *WGET, "http://server/") == "server"
    assert "me" in run("exec", "server", "busybox", "nslookup", "me")
    assert run.address("one", "mine") in run("exec", "one", "cat", "/etc/hosts")
    assert "already exists in network mine" in run.refusal("network", "connect", "mine", "one")
    run("network", "disconnect", "mine", "one")
    assert "eth1" not in run("exec", "one", "busybox", "ip", "link")
    assert "is not connected to network" in run.refusal("network", "disconnect", "mine", "one")
    run("network", "disconnect", "-f", "mine", "one")


def test_a_container_at_rest_is_connected_at_its_start(run: Docker) -> None:
    run("network", "create", "mine")
    run("create", "--name", "one", TOOLS, "sleep", "1000")
    run("network", "connect", "mine", "one")
    run("network", "disconnect", "bridge", "one")
    run("start", "one")
    assert "eth1" not in run("exec", "one", "busybox", "ip", "link")
    assert run.address("one", "mine")
    run("restart", "-t", "0", "one")
    assert run.address("one", "mine")


def test_what_cannot_be_done_is_refused_in_dockers_words(run: Docker) -> None:
    run("network", "create", "mine")
    assert "already exists" in run.refusal("network", "create", "mine")
    assert "pre-defined network" in run.refusal("network", "rm", "bridge")
    assert "not found" in run.refusal("network", "inspect", "nothing")
    assert "network nothing not found" in run.refusal(
        "run", "--rm", "--network", "nothing", TOOLS, "true"
    )
    aliased = ["run", "--rm", "--network-alias", "a", TOOLS, "true"]
    assert "only supported for user-defined networks" in run.refusal(*aliased)
    run("run", "-d", "--name", "host", "--network", "host", TOOLS, "sleep", "1000")
    assert "host network" in run.refusal("network", "connect", "mine", "host")


def test_networks_are_listed_pruned_and_told_of(run: Docker, client: docker.DockerClient) -> None:
    begin = time.time()
    run("network", "create", "--label", "of=me", "mine")
    run("network", "create", "other")
    run("run", "--rm", "--name", "one", "--network", "mine", TOOLS, "true")
    listed = run("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom").split()
    assert listed == ["mine", "other"]
    assert run("network", "ls", "-q", "--filter", "label=of=me", "--filter", "driver=bridge")
    run("network", "prune", "-f", "--filter", "label=of=me")
    assert "mine" not in run("network", "ls", "--format", "{{.Name}}").split()
    filters = {"type": ["network"]}
    events = recorded_events(client, since=int(begin), filters=filters)
    told = [
        (event["Action"], event["Actor"]["Attributes"]["name"])
        for event in events
        if event["timeNano"] > begin * 1e9
    ]
    assert told == [
        ("create", "mine"),
        ("create", "other"),
        ("connect", "mine"),
        ("disconnect", "mine"),
        ("destroy", "mine"),
    ]


def test_fifty_at_once_find_and_reach_each_other(run: Docker) -> None:
    run("network", "create", "mine")
    names = [f"c{number}" for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: run.web(name, "--network", "mine"), names))
    script = (
        "for n in "
        + " ".join(names)
        + "; do busybox timeout 5 busybox wget -q -O- http://$n/ || echo no $n; done"
    )
    assert run("exec", "c0", "sh", "-c", script).split() == names
    addresses = {run.address(name, "mine") for name in names}
    assert len(addresses) == len(names)


def test_nothing_is_left_of_containers_that_are_gone(run: Docker, engine: EngineUnderTest) -> None:
    run("run", "--rm", "-p", "0:80", TOOLS, "true")
    before, address = resting_footprint(engine), ""
    for _ in range(RUNS):
        address = run("run", "--rm", "-p", "0:80", TOOLS, "busybox", "hostname", "-i")
    assert address.endswith(".2")
    wait_until(lambda: footprint(engine) == before, "no link, rule, namespace or process is left")
