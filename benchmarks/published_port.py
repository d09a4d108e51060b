"""How fast is a published port? Ours against docker-proxy, in turn.

``python benchmarks/published_port.py [-n ROUNDS] [--seed SEED]``, as root. Everything is in network
namespaces of its own. One server of each kind runs in a container's namespace, iperf3 for bytes and
a registry (a server in Go) for connections; each round measures both ways to it, in an order drawn
from the seed, with iperf3 and ab. No sample is discarded.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
if str(_ROOT) not in sys.path:  # as `python benchmarks/published_port.py` leaves it
    sys.path.insert(0, str(_ROOT))

from dockerlab.network.messages import NetworkPlan, PortPlan  # noqa: E402 - needs the path
from dockerlab.report.statistics import median_interval, ratio_interval  # noqa: E402
from tests.support.engine import wait_until  # noqa: E402
from tests.support.networks import Guest, NetworkService, host_namespace, run_here  # noqa: E402

OURS, PEER = "dockerlab", "docker-proxy"
_BYTES_PORT, _CONNECTIONS_PORT = 5201, 5000
# Of the two ways to each.
_PUBLISHED = {OURS: (8201, 8000), PEER: (9201, 9000)}
_SECONDS = 3
_REQUESTS = 3000
_REGISTRY = """version: 0.1
storage: {filesystem: {rootdirectory: FOLDER}}
http: {addr: ":5000"}
log: {level: error, accesslog: {disabled: true}}
"""


@contextmanager
def _running(*command: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _proxy(guest: Guest, host_port: int, port: int) -> list[str]:
    # It tells its parent over descriptor 3 that it listens.
    return [
        "sh", "-c", 'exec "$@" 3>/dev/null', "sh",
        "docker-proxy", "-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", str(host_port),
        "-container-ip", guest.address, "-container-port", str(port),
    ]  # fmt: skip


def _gigabits(port: int) -> float:
    """Return the gigabits a second that iperf3 moves into the container."""
    command = ["iperf3", "-c", "127.0.0.1", "-p", str(port), "-t", str(_SECONDS), "-J"]
    report = json.loads(run_here(*command))
    if "error" in report:
        raise SystemExit(f"iperf3 fails: {report['error']}")
    return float(report["end"]["sum_received"]["bits_per_second"]) / 1e9


def _connections(port: int) -> float:
    """Return the connections a second, each with one small request, eight at a time."""
    text = run_here("ab", "-q", "-n", str(_REQUESTS), "-c", "8", f"http://127.0.0.1:{port}/v2/")
    found = re.search(r"Requests per second:\s+([\d.]+)", text)
    assert found, text
    return float(found[1])


def _measure(rounds: int, seed: int) -> dict[str, dict[str, list[float]]]:
    order = random.Random(seed)
    kinds = {"Gbit/s": (_gigabits, 0), "connections/s": (_connections, 1)}
    samples: dict[str, dict[str, list[float]]] = {
        kind: {name: [] for name in _PUBLISHED} for kind in kinds
    }
    for round_ in range(rounds + 1):  # the first warms up
        for kind, (measure, which) in kinds.items():
            for name in order.sample(list(_PUBLISHED), len(_PUBLISHED)):
                value = measure(_PUBLISHED[name][which])
                if round_:
                    samples[kind][name].append(value)
                time.sleep(0.1)
    return samples


def _print(samples: dict[str, dict[str, list[float]]]) -> None:
    for kind, by_name in samples.items():
        rows = {name: median_interval(values) for name, values in by_name.items()}
        rows["ratio"] = ratio_interval(by_name[OURS], by_name[PEER])
        for name, found in rows.items():
            print(f"{kind:14} {name:13} {found.estimate:9.2f}  [{found.low:.2f}, {found.high:.2f}]")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write all samples")
    options = parser.parse_args()
    lacking = [
        p for p in ("iperf3", "ab", "docker-proxy", "docker-registry") if not shutil.which(p)
    ]
    if lacking:
        packages = "iperf3 apache2-utils docker.io docker-registry"
        raise SystemExit(f"needs {', '.join(lacking)}: apt-get install {packages}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(host_namespace())
        service = stack.enter_context(NetworkService(folder))
        service.sync(NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",)))
        targets = (_BYTES_PORT, _CONNECTIONS_PORT)
        plans = [
            PortPlan(protocol="tcp", address="127.0.0.1", host_port=host_port, port=port)
            for host_port, port in zip(_PUBLISHED[OURS], targets, strict=True)
        ]
        guest = service.guest(2, ports=plans)
        (folder / "registry.yml").write_text(_REGISTRY.replace("FOLDER", str(folder / "data")))
        with guest.inside():
            stack.enter_context(_running("iperf3", "-s"))
            stack.enter_context(_running("docker-registry", "serve", str(folder / "registry.yml")))
        for host_port, port in zip(_PUBLISHED[PEER], targets, strict=True):
            stack.enter_context(_running(*_proxy(guest, host_port, port)))
        wait_until(lambda: guest.run("ss", "-Hltn").count("LISTEN") >= len(targets), "the servers")
        time.sleep(1)
        samples = _measure(options.rounds, options.seed)
    _print(samples)
    if options.json:
        options.json.write_text(json.dumps(samples), encoding="utf-8")


if __name__ == "__main__":
    main()
