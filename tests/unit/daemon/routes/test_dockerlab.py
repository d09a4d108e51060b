from tests.unit.daemon.conftest import Daemon


def test_status_has_the_fields_of_the_record(daemon: Daemon) -> None:
    status, shape = daemon.json("GET", "/dockerlab/status")
    assert (status, shape["tier"], shape["default_network"]) == (200, "rootful", "none")


def test_phases_are_rows(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.json("GET", "/dockerlab/containers/c/phases") == (
        200,
        [{"phase": "start", "begin_s": 1.0, "duration_s": 0.007, "layer": "", "size_bytes": 0}],
    )
    _, rows = daemon.json("GET", "/v1.45/dockerlab/images/docker.io/library/hello/phases")
    assert rows[0]["layer"] == "sha256:a"
    assert daemon.json("GET", "/dockerlab/containers/nobody/phases")[0] == 404


def test_layers_of_an_image(daemon: Daemon) -> None:
    status, shape = daemon.json("GET", "/dockerlab/images/docker.io/library/hello/layers")
    assert (status, shape["layers"], shape["wasted"]) == (200, [], [])
    assert daemon.json("GET", "/dockerlab/images/nothing/layers")[0] == 404


def test_shutdown_is_answered_and_then_done(daemon: Daemon) -> None:
    assert daemon.json("GET", "/dockerlab/shutdown")[0] == 404
    assert daemon.on_loop(lambda: daemon.shutdowns) == 0
    assert daemon.json("POST", "/dockerlab/shutdown") == (200, {})
    assert daemon.on_loop(lambda: daemon.shutdowns) == 1
