from tests.unit.daemon.conftest import Daemon


def test_ping_is_ok_for_get_and_head(daemon: Daemon) -> None:
    status, headers, data = daemon.request("GET", "/_ping")
    assert (status, data) == (200, b"OK")
    assert headers["Cache-Control"].startswith("no-cache")
    assert "Etag" not in headers
    assert daemon.request("HEAD", "/_ping")[::2] == (200, b"")
    assert daemon.request("HEAD", "/v1.45/_ping")[1]["Api-Version"] == "1.45"


def test_version_names_the_range_of_the_api(daemon: Daemon) -> None:
    _, shape = daemon.json("GET", "/version")
    assert (shape["ApiVersion"], shape["MinAPIVersion"]) == ("1.45", "1.24")
    assert shape["Components"][0]["Details"]["ApiVersion"] == "1.45"


def test_info_adds_up(daemon: Daemon) -> None:
    _, shape = daemon.json("GET", "/info")
    assert shape["Containers"] == 0
    assert shape["OSType"] == "linux"
    assert shape["Warnings"] is None


def test_disk_usage_lists_images_and_containers(daemon: Daemon) -> None:
    daemon.create("sleep")
    _, shape = daemon.json("GET", "/system/df")
    assert len(shape["Images"]) == 2
    assert shape["Images"][0]["Containers"] == 0
    assert shape["Containers"][0]["SizeRw"] == 1
    assert (shape["Volumes"], shape["BuildCache"]) == ([], [])
    assert (shape["LayersSize"], shape["Images"][0]["SharedSize"]) == (1_468_135, 1000)


def test_disk_usage_of_one_kind_counts_no_other(daemon: Daemon) -> None:
    daemon.create("sleep")
    _, shape = daemon.json("GET", "/system/df?type=image&type=volume")
    assert (len(shape["Images"]), shape["Containers"]) == (2, [])
    assert daemon.json("GET", "/system/df?type=stars")[0] == 400
