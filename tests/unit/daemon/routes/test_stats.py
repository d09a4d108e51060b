import json

from tests.unit.daemon.conftest import Daemon


def _start(daemon: Daemon) -> None:
    daemon.create("sleep")
    daemon.request("POST", "/containers/c/start")


def test_one_sample_has_its_predecessor(daemon: Daemon) -> None:
    _start(daemon)
    status, stats = daemon.json("GET", "/containers/c/stats?stream=0")
    assert status == 200
    assert stats["precpu_stats"]["cpu_usage"]["total_usage"] == 500_000_000
    assert stats["cpu_stats"]["cpu_usage"]["total_usage"] == 1_000_000_000
    assert stats["cpu_stats"]["system_cpu_usage"] == 4_000_000_000
    assert stats["cpu_stats"]["online_cpus"] == 2
    assert stats["memory_stats"] == {
        "usage": 4 << 20,
        "limit": 1 << 30,
        "stats": {"total_inactive_file": 1 << 20},
    }
    assert stats["pids_stats"] == {"current": 2}
    assert stats["networks"] == {
        "eth0": {
            "rx_bytes": 0,
            "rx_packets": 1,
            "rx_errors": 2,
            "rx_dropped": 3,
            "tx_bytes": 8,
            "tx_packets": 9,
            "tx_errors": 10,
            "tx_dropped": 11,
        }
    }
    assert stats["name"] == "/c"


def test_one_shot_has_none(daemon: Daemon) -> None:
    _start(daemon)
    stats = daemon.json("GET", "/containers/c/stats?stream=0&one-shot=1")[1]
    assert "system_cpu_usage" not in stats["precpu_stats"]
    assert stats["preread"] == "0001-01-01T00:00:00Z"
    assert daemon.request("GET", "/containers/c/stats?one-shot=1")[0] == 400


def test_a_stream_is_one_line_a_sample(daemon: Daemon) -> None:
    _start(daemon)
    data = daemon.request("GET", "/containers/c/stats")[2]
    samples = [json.loads(line) for line in data.splitlines()]
    assert [each["cpu_stats"]["cpu_usage"]["total_usage"] // 10**8 for each in samples] == [
        5,
        10,
        15,
    ]
    assert [each["preread"] for each in samples[1:]] == [each["read"] for each in samples[:-1]]


def test_what_does_not_run_uses_nothing(daemon: Daemon) -> None:
    daemon.create("sleep")
    stats = daemon.json("GET", "/containers/c/stats?stream=0")[1]
    assert stats["memory_stats"] == stats["pids_stats"] == {}
    assert stats["blkio_stats"]["io_service_bytes_recursive"] is None
    assert daemon.request("GET", "/containers/absent/stats")[0] == 404
