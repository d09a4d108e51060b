import pytest

from tests.unit.daemon.conftest import Daemon


def test_a_volume_is_made_shown_listed_and_removed(daemon: Daemon) -> None:
    body = {"Name": "mine", "Labels": {"a": "b"}, "DriverOpts": None}
    status, made = daemon.json("POST", "/volumes/create", body)
    assert status == 201
    assert made == {
        "CreatedAt": "2026-01-31T12:00:00Z",
        "Driver": "local",
        "Labels": {"a": "b"},
        "Mountpoint": "/volumes/mine",
        "Name": "mine",
        "Options": None,
        "Scope": "local",
    }
    assert daemon.json("GET", "/volumes/mine") == (200, made)
    assert daemon.json("GET", "/volumes") == (200, {"Volumes": [made], "Warnings": None})
    assert daemon.request("DELETE", "/volumes/mine")[0] == 204
    assert daemon.json("DELETE", "/volumes/mine") == (
        404,
        {"message": "get mine: no such volume"},
    )
    assert daemon.request("DELETE", "/volumes/mine?force=1")[0] == 204


def test_a_volume_without_a_name_is_anonymous(daemon: Daemon) -> None:
    _, made = daemon.json("POST", "/volumes/create", {})
    assert made["Labels"] == {"com.docker.volume.anonymous": ""}


@pytest.mark.parametrize("name", ["../up", "a b", "x", "a" * 300, "-a"])
def test_a_name_outside_the_grammar_is_refused(daemon: Daemon, name: str) -> None:
    assert daemon.json("POST", "/volumes/create", {"Name": name})[0] == 400


def test_a_prune_takes_anonymous_ones_and_of_old_clients_all(daemon: Daemon) -> None:
    def prune(path: str) -> list[str] | None:
        daemon.json("POST", "/volumes/create", {"Name": "named"})
        daemon.json("POST", "/volumes/create", {})
        deleted: list[str] | None = daemon.json("POST", path)[1]["VolumesDeleted"]
        return deleted

    assert prune("/v1.45/volumes/prune") == ["0" * 64]
    assert prune('/v1.45/volumes/prune?filters={"all":["true"]}') == ["named", "0" * 64]
    assert prune("/v1.41/volumes/prune") == ["named", "0" * 64]
