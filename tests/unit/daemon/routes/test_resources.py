import pytest

from tests.unit.daemon.conftest import Daemon


def _start(daemon: Daemon) -> None:
    daemon.create("sleep")
    daemon.request("POST", "/containers/c/start")


def test_pause_and_unpause_answer_204(daemon: Daemon) -> None:
    _start(daemon)
    assert daemon.request("POST", "/containers/c/pause")[0] == 204
    assert daemon.json("GET", "/containers/c/json")[1]["State"]["Paused"] is True
    assert daemon.request("POST", "/containers/c/pause")[0] == 409
    assert daemon.request("POST", "/containers/c/unpause")[0] == 204
    assert daemon.request("POST", "/containers/absent/unpause")[0] == 404


def test_update_answers_with_warnings(daemon: Daemon) -> None:
    daemon.create("sleep")
    body = {"Memory": 64 << 20, "MemorySwap": 128 << 20, "RestartPolicy": {"Name": ""}}
    assert daemon.json("POST", "/containers/c/update", body) == (
        200,
        {"Warnings": ["memory is short"]},
    )
    assert daemon.json("POST", "/containers/c/update", {}) == (200, {"Warnings": None})
    host = daemon.json("GET", "/containers/c/json")[1]["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 128 << 20)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"Memory": "much"}, 400, "invalid JSON"),
        ({"CpuShares": -1}, 400, 'invalid value "-1" for "CpuShares"'),
        ({"OomKillDisable": True}, 501, "cannot be changed after the creation"),
        ({"MemorySwappiness": 0}, 501, "cannot be changed after the creation"),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1}]}, 501, "cannot be changed"),
        ({"RestartPolicy": {"Name": "sometimes"}}, 400, "invalid restart policy"),
        ({"Memory": 1 << 30}, 409, "update the memoryswap at the same time"),
    ],
)
def test_an_update_that_cannot_be_right_is_refused(
    daemon: Daemon, body: dict[str, object], status: int, words: str
) -> None:
    daemon.create("sleep")
    got, answer = daemon.json("POST", "/containers/c/update", body)
    assert (got, words in answer["message"]) == (status, True), answer


def test_no_limit_of_processes_is_a_change_and_silence_is_none(daemon: Daemon) -> None:
    daemon.create("sleep", HostConfig={"PidsLimit": 9})
    daemon.json("POST", "/containers/c/update", {"PidsLimit": None})
    assert daemon.json("GET", "/containers/c/json")[1]["HostConfig"]["PidsLimit"] == 9
    daemon.json("POST", "/containers/c/update", {"PidsLimit": 0})
    assert daemon.json("GET", "/containers/c/json")[1]["HostConfig"]["PidsLimit"] == -1


def test_top_hands_the_arguments_of_ps_on(daemon: Daemon) -> None:
    _start(daemon)
    assert daemon.json("GET", "/containers/c/top?ps_args=-o%20pid,cmd") == (
        200,
        {"Titles": ["PID", "CMD"], "Processes": [["7", "sleep 60"]]},
    )
    assert daemon.engine.resources.asked == ["-o pid,cmd"]
