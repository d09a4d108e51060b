import asyncio
import http.client
import json
from typing import Any

import pytest

from dockerlab.engine.image import PullProgress
from tests.unit.daemon.conftest import Daemon


def lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def test_a_pull_is_a_stream_of_json_lines(daemon: Daemon) -> None:
    path = "/v1.45/images/create?fromImage=docker.io%2Flibrary%2Ffresh&tag=latest"
    status, headers, data = daemon.request("POST", path)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    shown = lines(data)
    assert shown[0] == {
        "status": "Pulling from library/fresh",
        "progressDetail": {},
        "id": "latest",
    }
    assert {"current": 100, "total": 100} in [line.get("progressDetail") for line in shown]
    assert shown[-1] == {"status": "Status: Downloaded newer image for fresh:latest"}
    assert daemon.json("GET", "/images/fresh/json")[0] == 200


def test_an_error_before_the_first_line_has_a_status(daemon: Daemon) -> None:
    assert daemon.json("POST", "/images/create?fromImage=nowhere&tag=latest") == (
        404,
        {"message": "manifest for nowhere:latest not found"},
    )


def test_an_error_after_the_first_line_is_a_line(daemon: Daemon) -> None:
    status, _, data = daemon.request("POST", "/images/create?fromImage=broken&tag=latest")
    text = "layer does not have its digest"
    assert status == 200
    assert lines(data)[-1] == {"errorDetail": {"message": text}, "error": text}


def test_a_fault_of_ours_after_the_first_line_does_not_look_like_an_end(daemon: Daemon) -> None:
    async def pull(reference: str, *, platform: str, emit: Any, credential: Any = None) -> None:
        del reference, platform, credential
        emit(PullProgress(status="Pulling from library/x", id="latest"))
        await asyncio.sleep(0.05)
        raise ValueError("nobody foresaw this")

    daemon.engine.pulls.pull = pull  # type: ignore[method-assign]
    with pytest.raises(http.client.IncompleteRead):
        daemon.request("POST", "/images/create?fromImage=x&tag=latest")


def test_a_client_that_leaves_ends_its_pull(daemon: Daemon) -> None:
    head = b"POST /images/create?fromImage=endless&tag=latest HTTP/1.1\r\nHost: x\r\n\r\n"
    with daemon.raw(head) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
    daemon.wait_until(daemon.engine.pulls.is_cancelled)


def test_of_many_numbers_a_slow_client_gets_the_newest(daemon: Daemon) -> None:
    async def pull(reference: str, *, platform: str, emit: Any, credential: Any = None) -> None:
        for current in range(10_000):
            emit(PullProgress(status="Downloading", id="a", current=current, total=10_000))
        emit(PullProgress(status="Pull complete", id="a"))
        emit(PullProgress(status="Digest: x"))
        emit(PullProgress(status="Digest: x"))

    daemon.engine.pulls.pull = pull  # type: ignore[method-assign]
    shown = lines(daemon.request("POST", "/images/create?fromImage=x&tag=1")[2])
    assert [line["status"] for line in shown] == [
        "Downloading",
        "Pull complete",
        "Digest: x",
        "Digest: x",
    ]
    assert shown[0]["progressDetail"]["current"] == 9_999


def test_an_import_from_an_address_and_nothing_at_all_are_refused(daemon: Daemon) -> None:
    assert daemon.json("POST", "/images/create?fromSrc=http://127.0.0.1/x")[0] == 501
    assert daemon.json("POST", "/images/create")[0] == 400


def test_a_tag_that_is_a_digest_stands_behind_an_at_sign(daemon: Daemon) -> None:
    seen: list[str] = []

    async def pull(reference: str, *, platform: str, emit: Any, credential: Any = None) -> None:
        seen.append(f"{reference} {platform}")

    daemon.engine.pulls.pull = pull  # type: ignore[method-assign]
    daemon.request("POST", "/images/create?fromImage=a&tag=sha256:ab&platform=linux/arm64")
    daemon.request("POST", "/images/create?fromImage=a&tag=1")
    daemon.request("POST", "/images/create?fromImage=localhost:5000/a/b:2")
    assert seen == ["a@sha256:ab linux/arm64", "a:1 ", "localhost:5000/a/b:2 "]


def test_without_a_tag_all_of_a_repository_are_meant(daemon: Daemon) -> None:
    shown = lines(daemon.request("POST", "/images/create?fromImage=localhost:5000/a/b")[2])
    ends = [line["status"] for line in shown if line["status"].startswith("Status: ")]
    assert ends == [
        "Status: Downloaded newer image for localhost:5000/a/b:latest",
        "Status: Downloaded newer image for localhost:5000/a/b:1:latest",
    ]


def test_list_takes_filters_of_both_ages(daemon: Daemon) -> None:
    assert len(daemon.json("GET", "/images/json")[1]) == 2
    for query in ('filters={"reference":["hello:latest"]}', "filter=hello:latest"):
        assert [i["RepoTags"] for i in daemon.json("GET", f"/images/json?{query}")[1]] == [
            ["hello:latest"]
        ]


def test_names_may_have_slashes_and_colons(daemon: Daemon) -> None:
    name = "docker.io/library/hello:latest"
    assert daemon.json("GET", f"/images/{name}/json")[0] == 200
    assert daemon.json("GET", f"/images/{name.replace('/', '%2F')}/json")[0] == 200
    assert daemon.json("GET", f"/images/{name}/history")[1][0]["CreatedBy"] == "COPY"
    assert daemon.json("GET", "/images/no/such/json") == (
        404,
        {"message": "No such image: no/such:latest"},
    )


def test_tag_and_remove(daemon: Daemon) -> None:
    assert daemon.request("POST", "/images/hello/tag?repo=mine&tag=1")[0] == 201
    assert daemon.json("POST", "/images/hello/tag")[0] == 400
    removed = daemon.json("DELETE", "/images/hello")[1]
    assert [list(line) for line in removed] == [["Untagged"], ["Deleted"]]


def test_a_prune_tells_what_went_and_what_it_freed(daemon: Daemon) -> None:
    _, shape = daemon.json("POST", "/images/prune")
    assert shape["SpaceReclaimed"] == 7
    assert [list(line) for line in shape["ImagesDeleted"]] == [["Untagged"], ["Deleted"]] * 2


def test_a_list_has_shared_bytes_where_they_are_asked_for(daemon: Daemon) -> None:
    shared = [
        [image["SharedSize"] for image in daemon.json("GET", f"/images/json{query}")[1]]
        for query in ("", "?shared-size=1")
    ]
    assert shared == [[-1, -1], [1000, 1000]]
