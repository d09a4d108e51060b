"""Logs: drivers, options, rotation, and a container that writes without end."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container
from docker.types import LogConfig

from tests.support.engine import EngineUnderTest
from tests.support.fixtures import DockerCli
from tests.support.registry import RunningRegistry


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def _logged(
    client: docker.DockerClient, driver: str, options: dict[str, str], *command: str, **more: Any
) -> Container:
    log = LogConfig(type=driver, config=options)
    return client.containers.create("busybox", list(command), log_config=log, **more)


def _folder(engine: EngineUnderTest, container: Container) -> Path:
    return engine.root / "containers" / str(container.id)


def _seq(count: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(1, count + 1))


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_every_driver_that_stores_is_read(client: docker.DockerClient, driver: str) -> None:
    container = _logged(client, driver, {}, "sh", "-c", "seq 1000; echo end >&2")
    container.start()
    container.wait()

    assert container.logs() == _seq(1000) + b"end\n"
    assert container.logs(tail=2) == b"1000\nend\n"
    assert container.logs(stdout=False) == b"end\n"
    assert container.attrs["HostConfig"]["LogConfig"] == {"Type": driver, "Config": {}}
    stamp = container.logs(tail=1, timestamps=True).split(b" ")[0]
    assert stamp.endswith(b"Z")


def test_none_cannot_be_read(client: docker.DockerClient) -> None:
    container = _logged(client, "none", {}, "true")

    with pytest.raises(APIError, match="configured logging driver does not support reading"):
        container.logs()


@pytest.mark.parametrize("compress", ["false", "true"])
def test_a_rotated_log_is_followed_without_a_gap(
    client: docker.DockerClient, engine: EngineUnderTest, compress: str
) -> None:
    options = {"max-size": "20k", "max-file": "20", "compress": compress}
    container = _logged(client, "json-file", options, "sh", "-c", "sleep 0.3; seq 4000")
    container.start()

    followed = b"".join(container.logs(stream=True, follow=True))

    assert followed == _seq(4000)
    assert container.logs() == _seq(4000)
    names = [path.name for path in _folder(engine, container).glob("*-json.log*")]
    assert len(names) > 10
    assert any(name.endswith(".gz") for name in names) == (compress == "true")


def test_details_are_labels_variables_and_the_tag(docker_cli: DockerCli) -> None:
    name = "detailed"
    options = ["--log-opt", "labels=a", "--log-opt", "env=B", "--log-opt", "tag={{.Name}}"]
    run = docker_cli(
        *("run", "--name", name, "--label", "a=x y", "-e", "B=2", *options),
        *("busybox", "echo", "line"),
    )
    details = docker_cli("logs", "--details", name).stdout
    plain = docker_cli("logs", name).stdout
    docker_cli("rm", name)

    assert (run.returncode, plain) == (0, "line\n")
    assert details == "B=2,a=x+y,tag=detailed line\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--log-driver", "what"], "logger: no log driver named 'what' is registered"),
        (["--log-opt", "x=1"], "unknown log opt 'x' for json-file log driver"),
        (["--log-driver", "local", "--log-opt", "tag=a"], "unknown log opt 'tag'"),
        (["--log-opt", "compress=true"], "compress cannot be true"),
    ],
)
def test_what_is_no_log_is_refused(docker_cli: DockerCli, arguments: list[str], words: str) -> None:
    refused = docker_cli("create", *arguments, "busybox", "true")

    assert refused.returncode == 1
    assert words in refused.stderr


def test_info_lists_the_drivers(client: docker.DockerClient) -> None:
    info = client.info()

    assert info["LoggingDriver"] == "json-file"
    assert info["Plugins"]["Log"] == ["json-file", "local", "none"]


@pytest.fixture
def local_engine(
    registry: RunningRegistry, tmp_path: Path, known_containers: set[str]
) -> Iterator[EngineUnderTest]:
    """An engine whose config.toml chooses the log."""
    (tmp_path / "dockerlab").mkdir()
    (tmp_path / "dockerlab" / "config.toml").write_text(
        'log-driver = "local"\nlog-opts = { max-size = "1m" }\n'
    )
    started = EngineUnderTest([registry.url], environ={"XDG_CONFIG_HOME": str(tmp_path)})
    try:
        started.start()
        yield started
    finally:
        known_containers |= set(started.container_ids())
        started.close()


def test_the_settings_choose_the_default(local_engine: EngineUnderTest) -> None:
    client = local_engine.connect()
    client.images.pull("busybox", tag="latest")

    container = client.containers.create("busybox", ["echo", "one"])
    container.start()
    container.wait()

    expected = {"Type": "local", "Config": {"max-size": "1m"}}
    assert container.attrs["HostConfig"]["LogConfig"] == expected
    assert container.logs() == b"one\n"
    assert client.info()["LoggingDriver"] == "local"


def test_a_flood_neither_blocks_the_engine_nor_fills_memory_or_disk(
    client: docker.DockerClient, engine: EngineUnderTest
) -> None:
    """About 100 MB through the log, while the engine is asked how it is."""
    flood = "dd if=/dev/zero bs=1000 count=100000 2>/dev/null | tr '\\0' x | fold -w 999"
    options = {"max-size": "5m", "max-file": "3"}
    container = _logged(client, "json-file", options, "sh", "-c", flood)
    container.start()
    monitor = _monitor_pid(container)
    ended = threading.Event()

    def wait() -> None:
        container.wait(timeout=100)
        ended.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    slowest_s, monitor_kb, disk_bytes = 0.0, 0, 0
    while not ended.is_set():
        begin = time.monotonic()
        assert client.ping()
        slowest_s = max(slowest_s, time.monotonic() - begin)
        monitor_kb = max(monitor_kb, _resident_kb(monitor))
        folder = _folder(engine, container)
        disk_bytes = max(disk_bytes, sum(_size(path) for path in folder.glob("*-json.log*")))
        ended.wait(0.1)
    waiter.join()

    begin = time.monotonic()
    last = container.logs(tail=1)
    tail_s = time.monotonic() - begin
    assert set(last.strip()) == {ord("x")}
    assert slowest_s < 1.0
    assert tail_s < 1.0
    assert 0 < monitor_kb < 60_000
    assert _resident_kb(engine.pid) < 150_000
    assert disk_bytes < 16 << 20


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # rotated meanwhile


def _monitor_pid(container: Container) -> int:
    container.reload()
    status = Path(f"/proc/{container.attrs['State']['Pid']}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


def _resident_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended
    return int(status.partition("VmRSS:")[2].split()[0]) if "VmRSS:" in status else 0


def test_the_tail_of_a_large_log_is_read_from_its_end(
    client: docker.DockerClient, engine: EngineUnderTest
) -> None:
    container = _logged(client, "json-file", {}, "true")
    entry = {"log": "x" * 900 + "\n", "stream": "stdout", "time": "2026-01-01T00:00:00Z"}
    path = _folder(engine, container) / f"{container.id}-json.log"
    line = json.dumps(entry).encode() + b"\n"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(line * 1000)

    read_before = _read_bytes(engine.pid)
    assert len(container.logs(tail=3)) == 3 * 901

    assert _read_bytes(engine.pid) - read_before < 4 << 20


def _read_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/io").read_text()
    return int(text.partition("rchar:")[2].split()[0])
