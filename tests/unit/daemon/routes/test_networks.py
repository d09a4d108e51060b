import pytest

from tests.unit.daemon.conftest import Daemon


def test_there_are_two_networks(daemon: Daemon) -> None:
    _, listed = daemon.json("GET", "/networks")
    assert [(n["Name"], n["Driver"]) for n in listed] == [("host", "host"), ("none", "null")]


@pytest.mark.parametrize(
    ("filters", "names"),
    [('{"name":["no"]}', ["none"]), ('{"driver":["host"]}', ["host"]), ('{"name":["x"]}', [])],
)
def test_networks_can_be_filtered(daemon: Daemon, filters: str, names: list[str]) -> None:
    assert [n["Name"] for n in daemon.json("GET", f"/networks?filters={filters}")[1]] == names


def test_a_network_is_found_by_name_and_by_id(daemon: Daemon) -> None:
    _, shape = daemon.json("GET", "/networks/none")
    assert daemon.json("GET", f"/networks/{shape['Id'][:12]}")[1]["Name"] == "none"
    assert daemon.json("GET", "/networks/bridge") == (
        404,
        {"message": "network bridge not found"},
    )


def test_a_network_names_the_containers_that_run_on_it(daemon: Daemon) -> None:
    container_id = daemon.create("sleep")
    daemon.request("POST", "/containers/c/start")
    assert list(daemon.json("GET", "/networks/none")[1]["Containers"]) == [container_id]
